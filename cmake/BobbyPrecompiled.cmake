# The headers that cost most to read, read once a build: JSON's and fmt's for the rooms that name
# them, GoogleTest's as well for tests. Every file still includes what it uses: macos-check, which
# compiles all of them, does without.
option(BOBBY_PRECOMPILED "Read the largest headers once a build" ON)
if(NOT BOBBY_PRECOMPILED OR NOT CMAKE_CXX_COMPILER_ID STREQUAL GNU OR BOBBY_KERNELS_ONLY)
  function(bobby_precompiled target like)
  endfunction()
  return()
endif()

add_compile_options($<$<COMPILE_LANGUAGE:CXX>:-fpch-preprocess>)  # or ccache would not keep what uses them
file(CONFIGURE OUTPUT ${PROJECT_BINARY_DIR}/precompiled.cpp CONTENT "int main() { return 0; }\n")
set(headers <algorithm> <chrono> <filesystem> <functional> <memory> <optional> <string> <vector>
    <fmt/format.h> <nlohmann/json.hpp>)

add_library(bobby_precompiled_room OBJECT ${PROJECT_BINARY_DIR}/precompiled.cpp)
target_link_libraries(bobby_precompiled_room PRIVATE bobby_flags fmt::fmt nlohmann_json::nlohmann_json)
target_precompile_headers(bobby_precompiled_room PRIVATE ${headers})

# A program, as tests are: those are compiled otherwise than libraries.
if(BOBBY_BUILD_TESTS)
  add_executable(bobby_precompiled_test ${PROJECT_BINARY_DIR}/precompiled.cpp)
  target_link_libraries(bobby_precompiled_test PRIVATE
    bobby_flags fmt::fmt nlohmann_json::nlohmann_json GTest::gtest)
  bobby_test_options(bobby_precompiled_test)
  target_precompile_headers(bobby_precompiled_test PRIVATE ${headers} <gtest/gtest.h>)
endif()

# bobby_precompiled(TARGET room|test)
function(bobby_precompiled target like)
  # As the headers were read, whether the target links fmt or not.
  target_compile_definitions(${target} PRIVATE $<TARGET_PROPERTY:fmt::fmt,INTERFACE_COMPILE_DEFINITIONS>)
  # False alarms in std::string, which GCC 12 no longer takes for a system header's.
  target_compile_options(${target} PRIVATE -Wno-stringop-overflow -Wno-stringop-overread -Wno-array-bounds)
  target_precompile_headers(${target} REUSE_FROM bobby_precompiled_${like})
endfunction()
