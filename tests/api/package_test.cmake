# Installs the build, then builds the projects of examples/ against what was installed and runs them: they
# write what the binary writes. On the demo model when BOBBY_DEMO_MODEL names one, too.
function(run)
  execute_process(COMMAND ${ARGN} COMMAND_ERROR_IS_FATAL ANY)
endfunction()

file(REMOVE_RECURSE ${SCRATCH})
set(prefix ${SCRATCH}/prefix)
run(${CMAKE_COMMAND} --install ${BUILD} --prefix ${prefix})
# Somewhere else than where it was installed: a package may be moved.
file(RENAME ${prefix} ${SCRATCH}/moved)
set(prefix ${SCRATCH}/moved)

set(common -G ${GENERATOR} -DCMAKE_BUILD_TYPE=Debug -DCMAKE_PREFIX_PATH=${prefix})
run(${CMAKE_COMMAND} -S ${SOURCE}/examples/cpp -B ${SCRATCH}/cpp ${common} -DCMAKE_CXX_COMPILER=${CXX}
    "-DCMAKE_CXX_FLAGS=-Wall -Wextra -Wpedantic -Wshadow -Werror")
run(${CMAKE_COMMAND} --build ${SCRATCH}/cpp)
run(${CMAKE_COMMAND} -S ${SOURCE}/examples/c -B ${SCRATCH}/c ${common} -DCMAKE_C_COMPILER=${CC}
    "-DCMAKE_C_FLAGS=-Wall -Wextra -Wpedantic -Werror")
run(${CMAKE_COMMAND} --build ${SCRATCH}/c)

# What the two examples and the installed binary print, run in a world without settings.
function(compare model)
  set(words write\ about\ coffee --seed 7 --model ${model})
  foreach(program "${prefix}/bin/bobby;post;3;${words}" "${SCRATCH}/cpp/three_posts;${model};7"
                  "${SCRATCH}/c/three_posts_c;${model};7")
    execute_process(COMMAND ${CMAKE_COMMAND} -E env --unset=BOBBY_DEMO_MODEL HOME=${WORLD}
                            XDG_CONFIG_HOME=${WORLD} ${program}
                    WORKING_DIRECTORY ${SCRATCH} OUTPUT_VARIABLE out RESULT_VARIABLE result
                    ERROR_VARIABLE err)
    if(NOT result EQUAL 0)
      message(FATAL_ERROR "${program} ended with ${result}: ${err}")
    endif()
    if(NOT DEFINED expected)
      set(expected "${out}")
    elseif(NOT out STREQUAL expected)
      message(FATAL_ERROR "${program} wrote\n${out}where the binary writes\n${expected}")
    endif()
  endforeach()
  message(STATUS "the same from the binary, C++ and C:\n${expected}")
endfunction()
compare(${WORLD}/tiny)
if(NOT "$ENV{BOBBY_DEMO_MODEL}" STREQUAL "")
  compare($ENV{BOBBY_DEMO_MODEL})
endif()
run(${SCRATCH}/cpp/tour ${WORLD}/tiny ${WORLD}/tiny-adapter)

# pkg-config says the same as CMake.
find_program(PKG_CONFIG NAMES pkgconf pkg-config REQUIRED)
file(GLOB_RECURSE pc ${prefix}/bobby.pc)
get_filename_component(pc ${pc} DIRECTORY)
execute_process(COMMAND ${CMAKE_COMMAND} -E env PKG_CONFIG_PATH=${pc} ${PKG_CONFIG} --cflags --libs bobby
                OUTPUT_VARIABLE flags OUTPUT_STRIP_TRAILING_WHITESPACE COMMAND_ERROR_IS_FATAL ANY)
separate_arguments(flags UNIX_COMMAND "${flags}")
run(${CC} -std=c11 ${SOURCE}/examples/c/main.c -o ${SCRATCH}/by_pkg_config ${flags})

# Another version is refused, and so is a component that there is not.
foreach(wanted "99.0" "0.1 COMPONENTS java")
  file(WRITE ${SCRATCH}/refused/CMakeLists.txt
       "cmake_minimum_required(VERSION 3.21)\nproject(refused LANGUAGES NONE)\n"
       "find_package(bobby ${wanted} QUIET)\nif(bobby_FOUND)\n  message(FATAL_ERROR found)\nendif()\n")
  run(${CMAKE_COMMAND} -S ${SCRATCH}/refused -B ${SCRATCH}/refused/build ${common})
endforeach()
