# bobby_test(NAME SOURCES a_test.cpp ... [ROOMS ...] [LIBS ...] [LABELS unit|parity|e2e] [DEFINES ...])
# One GoogleTest binary `NAME`; every TEST in it becomes a ctest case with the given label.
find_package(GTest REQUIRED)
include(GoogleTest)

# A test's own sources are not optimised: compiling them costs more than running them, and what they
# test is in the rooms, which are. Under an emulator it is the other way round.
function(bobby_test_options target)
  if(NOT CMAKE_CROSSCOMPILING)
    target_compile_options(${target} PRIVATE -O0)
  endif()
endfunction()

function(bobby_test name)
  cmake_parse_arguments(ARG "" "" "SOURCES;ROOMS;LIBS;LABELS;DEFINES" ${ARGN})
  add_executable(${name} ${ARG_SOURCES})
  target_include_directories(${name} PRIVATE ${PROJECT_SOURCE_DIR}/src ${PROJECT_SOURCE_DIR}/tests)
  target_compile_definitions(${name} PRIVATE BOBBY_SOURCE_DIR="${PROJECT_SOURCE_DIR}" ${ARG_DEFINES})
  target_link_libraries(${name} PRIVATE bobby_flags ${ARG_LIBS} GTest::gtest_main)
  foreach(room ${ARG_ROOMS})
    target_link_libraries(${name} PRIVATE bobby_${room})
  endforeach()
  bobby_test_options(${name})
  bobby_precompiled(${name} test)
  if(NOT ARG_LABELS)
    set(ARG_LABELS unit)
  endif()
  gtest_discover_tests(${name} DISCOVERY_MODE PRE_TEST DISCOVERY_TIMEOUT 120
                       PROPERTIES LABELS ${ARG_LABELS} TIMEOUT 600)
endfunction()
