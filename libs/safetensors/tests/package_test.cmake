# Builds and installs the library alone, then builds and runs a project that finds the package.
function(run)
  execute_process(COMMAND ${ARGN} COMMAND_ERROR_IS_FATAL ANY)
endfunction()
file(REMOVE_RECURSE ${SCRATCH})
# Debug: what is tested is the package, and a second optimised library is half a minute.
set(common -G ${GENERATOR} -DCMAKE_CXX_COMPILER=${COMPILER} -DCMAKE_BUILD_TYPE=Debug)
find_program(CCACHE ccache)
if(CCACHE)
  list(APPEND common -DCMAKE_CXX_COMPILER_LAUNCHER=${CCACHE})
endif()
run(${CMAKE_COMMAND} -S ${SOURCE} -B ${SCRATCH}/build ${common} -DSAFETENSORS_CPP_BUILD_TESTS=OFF
    -DCMAKE_INSTALL_PREFIX=${SCRATCH}/prefix)
run(${CMAKE_COMMAND} --build ${SCRATCH}/build)
run(${CMAKE_COMMAND} --install ${SCRATCH}/build)
run(${CMAKE_COMMAND} -S ${SOURCE}/examples/find_package -B ${SCRATCH}/consumer ${common}
    -DCMAKE_PREFIX_PATH=${SCRATCH}/prefix)
run(${CMAKE_COMMAND} --build ${SCRATCH}/consumer)
run(${SCRATCH}/consumer/hello_tensors ${SCRATCH}/hello.safetensors)
run(${SCRATCH}/build/examples/safetensors_check ${SCRATCH}/hello.safetensors)
