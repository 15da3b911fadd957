# Language standard, warnings, sanitizers and ccache: the same for every target of the project.
set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE Release CACHE STRING "Build type" FORCE)
endif()

find_program(CCACHE ccache)
if(CCACHE AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  # Paths below the source folder are hashed as relative ones, so that clones share what they built.
  # The sloppiness is what ccache asks for beside precompiled headers: see BobbyPrecompiled.cmake.
  set(CMAKE_CXX_COMPILER_LAUNCHER
      ${CMAKE_COMMAND} -E env CCACHE_BASEDIR=${PROJECT_SOURCE_DIR} CCACHE_NOHASHDIR=1
      CCACHE_SLOPPINESS=pch_defines,time_macros ${CCACHE})
endif()

add_library(bobby_flags INTERFACE)
target_compile_options(bobby_flags INTERFACE -Wall -Wextra -Wpedantic -Wshadow -Wno-unused-parameter)
if(CMAKE_CXX_COMPILER_ID STREQUAL GNU AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
  target_compile_options(bobby_flags INTERFACE -Wno-restrict)  # false alarms in std::string: GCC 105329
endif()
# a*b+c contracts to an fma only where a kernel asks for it: results must not depend on the compiler.
target_compile_options(bobby_flags INTERFACE -ffp-contract=off)
if(BOBBY_WERROR)
  target_compile_options(bobby_flags INTERFACE -Werror)
endif()
if(BOBBY_SANITIZE)
  target_compile_options(bobby_flags INTERFACE -fsanitize=${BOBBY_SANITIZE} -fno-sanitize-recover=all
                                               -fno-omit-frame-pointer -g1)
  target_link_options(bobby_flags INTERFACE -fsanitize=${BOBBY_SANITIZE})
endif()
