# Compiles for Apple silicon without a Mac, to objects and no further: what macOS's headers, its standard
# library or the build's own files there do not have, shows. Nothing is linked and nothing runs.
# BOBBY_MACOS_HEADERS: see tools/macos_headers.sh. Other libraries' headers, which are the same
# everywhere, are this machine's: cmake/macos_check.
set(CMAKE_SYSTEM_NAME Darwin)
set(CMAKE_SYSTEM_PROCESSOR arm64)
set(CMAKE_C_COMPILER clang)
set(CMAKE_CXX_COMPILER clang++)
set(CMAKE_C_COMPILER_TARGET arm64-apple-macos13.3)
set(CMAKE_CXX_COMPILER_TARGET arm64-apple-macos13.3)
set(CMAKE_INSTALL_NAME_TOOL true)
set(CMAKE_TRY_COMPILE_TARGET_TYPE STATIC_LIBRARY)
set(CMAKE_TRY_COMPILE_PLATFORM_VARIABLES BOBBY_MACOS_HEADERS)
list(APPEND CMAKE_MODULE_PATH ${CMAKE_CURRENT_LIST_DIR}/../macos_check)

set(library_headers ${BOBBY_MACOS_HEADERS})
set(system_headers ${BOBBY_MACOS_HEADERS}/libc/include)
execute_process(COMMAND clang++ -print-resource-dir OUTPUT_VARIABLE compiler_headers
                OUTPUT_STRIP_TRAILING_WHITESPACE)
set(in_order ${compiler_headers}/include ${system_headers}/aarch64-macos.13-none
    ${system_headers}/any-macos.13-any ${system_headers}/any-macos-any)
list(TRANSFORM in_order PREPEND "-isystem ")
list(JOIN in_order " " in_order)
set(CMAKE_C_FLAGS_INIT "-nostdinc ${in_order}")
set(CMAKE_CXX_FLAGS_INIT "-nostdinc -stdlib=libc++ -D_LIBCPP_ABI_VERSION=1 -D_LIBCPP_ABI_NAMESPACE=__1 -D_LIBCPP_DISABLE_AVAILABILITY -isystem ${library_headers}/libcxx/include -isystem ${library_headers}/libcxxabi/include ${in_order}")

# A file of that name stands for what would be linked.
foreach(language C CXX)
  foreach(kind LINK_EXECUTABLE CREATE_SHARED_LIBRARY)
    set(CMAKE_${language}_${kind} "<CMAKE_COMMAND> -E touch <TARGET>")
  endforeach()
endforeach()
