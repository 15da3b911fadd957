# The CUDA compiler, called as a plain command: its Python packages, which are the only CUDA some
# machines have, lie in folders that CMake's own CUDA support does not know.
# Looked for in BOBBY_CUDA_ROOT (a toolkit, or a virtual environment with nvidia-cuda-nvcc,
# nvidia-nvvm, nvidia-cuda-crt, nvidia-cuda-runtime and nvidia-cuda-cccl), CUDACXX and the PATH.
set(BOBBY_CUDA_ROOT "" CACHE PATH "Where CUDA lies: a toolkit, or a virtual environment with its packages")
set(BOBBY_CUDA_ARCHITECTURES "80;90a;90-virtual" CACHE STRING "sm_XX to compile for; XX-virtual: PTX")

file(GLOB bobby_cuda_folders ${BOBBY_CUDA_ROOT}/lib/python3*/site-packages/nvidia/cu1*)
if(DEFINED ENV{CUDACXX})
  get_filename_component(bobby_cuda_cxx $ENV{CUDACXX} DIRECTORY)
endif()
find_program(BOBBY_NVCC nvcc REQUIRED
  HINTS ${BOBBY_CUDA_ROOT} ${bobby_cuda_folders} ${bobby_cuda_cxx} PATH_SUFFIXES bin)
get_filename_component(bobby_nvcc ${BOBBY_NVCC} REALPATH)
get_filename_component(bobby_cuda_bin ${bobby_nvcc} DIRECTORY)
get_filename_component(bobby_cuda_home ${bobby_cuda_bin} DIRECTORY)
find_path(BOBBY_CUDA_INCLUDE_DIR cuda_runtime.h REQUIRED
  HINTS ${bobby_cuda_home} PATH_SUFFIXES include targets/x86_64-linux/include)
find_library(BOBBY_CUDART cudart_static REQUIRED
  HINTS ${bobby_cuda_home} PATH_SUFFIXES lib lib64 targets/x86_64-linux/lib)

add_library(bobby_cudart INTERFACE)
target_include_directories(bobby_cudart SYSTEM INTERFACE ${BOBBY_CUDA_INCLUDE_DIR})
# Static, so that a program runs wherever there is a driver.
target_link_libraries(bobby_cudart INTERFACE ${BOBBY_CUDART} Threads::Threads dl rt)

# 177: a constant of a class template that one specialisation does not use.
set(bobby_nvcc_flags -std=c++20 -O3 -fmad=false -diag-suppress=177 -Xcompiler=-fPIC)
foreach(arch ${BOBBY_CUDA_ARCHITECTURES})
  string(REGEX REPLACE "-virtual$" "" number ${arch})
  if(number STREQUAL arch)
    list(APPEND bobby_nvcc_flags -gencode=arch=compute_${number},code=sm_${number})
  else()
    list(APPEND bobby_nvcc_flags -gencode=arch=compute_${number},code=compute_${number})
  endif()
endforeach()

# bobby_cuda_objects(OUT a.cu ...): compiles each and lists the objects in OUT.
function(bobby_cuda_objects out)
  set(objects)
  foreach(source ${ARGN})
    set(object ${CMAKE_CURRENT_BINARY_DIR}/${source}.o)
    add_custom_command(
      OUTPUT ${object}
      COMMAND ${CMAKE_CXX_COMPILER_LAUNCHER} ${BOBBY_NVCC} ${bobby_nvcc_flags} -I${PROJECT_SOURCE_DIR}/src -MD -MF ${object}.d
              -c ${CMAKE_CURRENT_SOURCE_DIR}/${source} -o ${object}
      DEPENDS ${source} DEPFILE ${object}.d COMMENT "Building CUDA object ${source}" VERBATIM)
    list(APPEND objects ${object})
  endforeach()
  set(${out} ${objects} PARENT_SCOPE)
endfunction()
