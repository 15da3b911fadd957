# Every outside library, from the distribution, found once; rooms link what they name.
find_package(Threads REQUIRED)
find_package(fmt REQUIRED)            # fmt::fmt
find_package(nlohmann_json REQUIRED)  # nlohmann_json::nlohmann_json
find_package(OpenSSL REQUIRED COMPONENTS Crypto)  # OpenSSL::Crypto
find_path(TL_EXPECTED_INCLUDE_DIR tl/expected.hpp REQUIRED)  # header only
target_include_directories(bobby_flags SYSTEM INTERFACE ${TL_EXPECTED_INCLUDE_DIR})
if(BOBBY_KERNELS_ONLY)
  return()  # a cross-compiler's distribution has fewer: libsimdjson-dev is there for one architecture
endif()

find_package(simdjson REQUIRED)       # simdjson::simdjson
find_package(CLI11 REQUIRED)          # CLI11::CLI11
find_package(Boost 1.81 REQUIRED)     # Boost::headers: Asio, and Beast's parser
find_package(PkgConfig REQUIRED)
pkg_check_modules(pcre2 REQUIRED IMPORTED_TARGET libpcre2-8)   # PkgConfig::pcre2
pkg_check_modules(utf8proc REQUIRED IMPORTED_TARGET libutf8proc)  # PkgConfig::utf8proc
pkg_check_modules(libzip REQUIRED IMPORTED_TARGET libzip)     # PkgConfig::libzip
find_package(CURL 7.85 REQUIRED)       # CURL::libcurl
find_package(LibXml2 REQUIRED)           # LibXml2::LibXml2
find_package(SQLite3 3.37 REQUIRED)     # SQLite::SQLite3
find_package(yaml-cpp REQUIRED)         # yaml-cpp::yaml-cpp, which 0.7 calls yaml-cpp
if(NOT TARGET yaml-cpp::yaml-cpp)
  add_library(yaml-cpp::yaml-cpp ALIAS yaml-cpp)
endif()
find_package(date REQUIRED)             # date::date-tz: time zones, which g++ 12 has not
find_path(TOMLPLUSPLUS_INCLUDE_DIR toml++/toml.h REQUIRED)     # header only
target_include_directories(bobby_flags SYSTEM INTERFACE ${TOMLPLUSPLUS_INCLUDE_DIR})
if(BOBBY_MLX)
  find_package(MLX REQUIRED)            # mlx: Homebrew's, or a Python package's (tools/mlx_packages.sh)
endif()
