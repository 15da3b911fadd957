#pragma once

// How every kernel of this backend is launched: programmatic dependent launch, so that a kernel's
// blocks are placed while the one before still runs. A kernel calls begin() before it touches
// memory that another kernel writes; what lies before begin() may read weights alone.

#include <cuda_runtime.h>

namespace bobby::cuda {

#ifdef __CUDACC__
/// Lets the next kernel's blocks be placed. They wait in begin() until this kernel is done.
__device__ inline void allow_next() {
#if __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.launch_dependents;");
#endif
}

/// Waits until all kernels before this one are done and what they wrote can be seen.
__device__ inline void begin() {
#if __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.wait;" ::: "memory");
#endif
}

/// The same sum in every lane, in one order.
__device__ inline float warp_sum(float value) {
  for (int offset = 16; offset > 0; offset /= 2)
    value += __shfl_xor_sync(0xffffffffu, value, offset);
  return value;
}

__device__ inline float warp_max(float value) {
  for (int offset = 16; offset > 0; offset /= 2)
    value = fmaxf(value, __shfl_xor_sync(0xffffffffu, value, offset));
  return value;
}

/// The sum over a block of whole warps, in every thread. `shared`: 32 floats.
__device__ inline float block_sum(float value, float* shared) {
  value = warp_sum(value);
  const unsigned warps = blockDim.x / 32;
  __syncthreads();
  if (threadIdx.x % 32 == 0) shared[threadIdx.x / 32] = value;
  __syncthreads();
  return warp_sum(threadIdx.x % 32 < warps ? shared[threadIdx.x % 32] : 0.0f);
}
#endif

/// Whether the device knows programmatic dependent launch: from compute capability 9.0 on.
inline bool can_overlap() {
  static const bool can = [] {
    int device = 0;
    int major = 0;
    cudaGetDevice(&device);
    cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, device);
    return major >= 9;
  }();
  return can;
}

inline int multiprocessors() {
  static const int count = [] {
    int device = 0;
    int found = 0;
    cudaGetDevice(&device);
    cudaDeviceGetAttribute(&found, cudaDevAttrMultiProcessorCount, device);
    return found;
  }();
  return count;
}

/// How often this thread has had the device change memory: what was there at the same count still
/// is.
inline unsigned long long& launches() {
  static thread_local unsigned long long count = 0;
  return count;
}

/// Errors of a launch stay with the runtime until Backend::sync() asks for them.
template <typename... Parameters, typename... Arguments>
void launch(void (*kernel)(Parameters...), dim3 grid, unsigned threads, std::size_t shared,
            cudaStream_t stream, Arguments... arguments) {
  if (grid.x == 0 || grid.y == 0 || grid.z == 0) return;
  ++launches();
  cudaLaunchAttribute attribute = {};
  attribute.id = cudaLaunchAttributeProgrammaticStreamSerialization;
  attribute.val.programmaticStreamSerializationAllowed = 1;
  cudaLaunchConfig_t config = {};
  config.gridDim = grid;
  config.blockDim = dim3(threads);
  config.dynamicSmemBytes = shared;
  config.stream = stream;
  config.attrs = &attribute;
  config.numAttrs = can_overlap() ? 1 : 0;
  cudaLaunchKernelEx(&config, kernel, Parameters(arguments)...);
}

/// Kernels come to the device when they are first asked for, which takes the driver a while.
template <typename... Parameters>
void load_kernel(void (*kernel)(Parameters...)) {
  cudaFuncAttributes attributes = {};
  cudaFuncGetAttributes(&attributes, kernel);
}

inline unsigned blocks_for(long long count, long long each) {
  return static_cast<unsigned>((count + each - 1) / each);
}

}  // namespace bobby::cuda
