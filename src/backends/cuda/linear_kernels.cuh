#pragma once

// What the kernels of linear() and embed() share.

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include "backends/cuda/launch.cuh"
#include "backends/cuda/linear_kernels.h"
#include "backends/cuda/tile_order.h"

namespace bobby::cuda {

inline constexpr int kThreads = 256;
inline constexpr int kWarps = kThreads / 32;

template <Element Type>
__device__ float widen(const void* from, long long index) {
  if constexpr (Type == Element::kF32) {
    return static_cast<const float*>(from)[index];
  } else if constexpr (Type == Element::kF16) {
    return __half2float(static_cast<const __half*>(from)[index]);
  } else {
    return __bfloat162float(static_cast<const __nv_bfloat16*>(from)[index]);
  }
}

__device__ inline const Matrix& matrix_of(const Matrices& matrices, int tile) {
  int i = 0;
  while (i + 1 < matrices.count && tile >= matrices.each[i + 1].tiles_before) ++i;
  return matrices.each[i];
}

/// Calls run.template operator()<Element>() with the element type of `matrices`.
template <typename F>
void dispatch(Element element, const F& run) {
  switch (element) {
    case Element::kF32: return run.template operator()<Element::kF32>();
    case Element::kF16: return run.template operator()<Element::kF16>();
    case Element::kBF16: return run.template operator()<Element::kBF16>();
  }
}

}  // namespace bobby::cuda
