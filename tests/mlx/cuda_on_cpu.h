#pragma once

// As much of CUDA C++ as the MLX backend's kernels use, on one thread of the processor: a block's
// threads are fibers that take turns at each barrier. What includes a .cuh after this, inside
// namespace bobby::test::cuda_on_cpu, gets its functions for the processor.

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>

#include "tensor/half.h"

#define __device__
#define __shared__ static  // blocks run one after the other

namespace bobby::test::cuda_on_cpu {

struct Dim {
  int x = 0;
  int y = 0;
};
extern Dim threadIdx;
extern Dim blockIdx;
extern Dim gridDim;

/// Runs `kernel` as every thread of every block. Throws when threads wait for others that are gone.
void launch(Dim grid, int threads, const std::function<void()>& kernel);

void __syncthreads();
void __syncwarp();
float __shfl_xor_sync(unsigned mask, float value, int lanes);

struct float4 {
  float x, y, z, w;
};
struct uint4 {
  unsigned x, y, z, w;
};
inline float4 make_float4(float x, float y, float z, float w) {
  return {x, y, z, w};
}
inline uint4 make_uint4(unsigned x, unsigned y, unsigned z, unsigned w) {
  return {x, y, z, w};
}
template <typename T>
T __ldcs(const T* from) {
  return *from;
}
inline int __ffs(int bits) {
  return __builtin_ffs(bits);
}
inline float __uint_as_float(unsigned bits) {
  float value;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}
inline float __int_as_float(int bits) {
  return __uint_as_float(static_cast<unsigned>(bits));
}

struct __half {
  std::uint16_t bits;
};
inline float __half2float(__half value) {
  return f16_to_float(value.bits);
}
inline __half __float2half_rn(float value) {
  return {float_to_f16(value)};
}

using std::min;

}  // namespace bobby::test::cuda_on_cpu
