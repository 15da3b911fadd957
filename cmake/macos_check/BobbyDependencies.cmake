# In the place of ../BobbyDependencies.cmake when macOS is compiled for elsewhere (../toolchains/macos-check.cmake):
# the same targets, as headers alone. Those of this machine are linked to one by one, since its
# system's own lie in the same folder.
set(headers ${CMAKE_BINARY_DIR}/headers)
file(MAKE_DIRECTORY ${headers}/openssl)
foreach(name CLI benchmark boost curl date fmt gtest libxml nlohmann pcre2.h simdjson.h sqlite3.h tl toml++ unicode
             utf8proc.h yaml-cpp zip.h zipconf.h)
  file(GLOB found /usr/include/${name} /usr/include/*-linux-gnu/${name} /usr/include/libxml2/${name})
  if(NOT found)
    message(FATAL_ERROR "no header ${name} on this machine: tools/setup.sh test")
  endif()
  list(GET found 0 found)
  file(CREATE_LINK ${found} ${headers}/${name} SYMBOLIC)
endforeach()
file(GLOB openssl /usr/include/openssl/*.h /usr/include/*-linux-gnu/openssl/*.h)
foreach(header ${openssl})
  get_filename_component(name ${header} NAME)
  file(CREATE_LINK ${header} ${headers}/openssl/${name} SYMBOLIC)
endforeach()

target_include_directories(bobby_flags SYSTEM INTERFACE ${headers})
if(BOBBY_MLX)
  find_path(MLX_HEADERS mlx/mlx.h REQUIRED NO_CMAKE_FIND_ROOT_PATH)  # those of any system: tools/mlx_packages.sh
  add_library(mlx INTERFACE IMPORTED GLOBAL)
  target_include_directories(mlx SYSTEM INTERFACE ${MLX_HEADERS})
endif()
foreach(target fmt::fmt nlohmann_json::nlohmann_json OpenSSL::Crypto simdjson::simdjson tl::expected CLI11::CLI11
               Boost::headers PkgConfig::pcre2 PkgConfig::utf8proc PkgConfig::libzip CURL::libcurl LibXml2::LibXml2
               SQLite::SQLite3 yaml-cpp::yaml-cpp date::date-tz Threads::Threads GTest::gtest GTest::gtest_main
               benchmark::benchmark benchmark::benchmark_main)
  add_library(${target} INTERFACE IMPORTED GLOBAL)
  target_include_directories(${target} SYSTEM INTERFACE ${headers} ${CMAKE_CURRENT_LIST_DIR}/headers)
endforeach()
