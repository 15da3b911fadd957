#pragma once

namespace bobby::mlx_backend {

/// CUDA C++: a row of x as products of few rows take it, shared by their kernels.
inline constexpr const char* kRowInputSource = R"cuda(
// As it is, or times a norm's weight (the factor that the whole row has in common comes last), or
// SwiGLU of gate, which is x, and up.
struct Row {
  const float4* x;
  const float4* norm;  // or null
  const float4* up;    // or null
};

__device__ inline Row row_of(const float* x, int width, const float* norm, int norm_width, int row, int columns) {
  const float* own = x + static_cast<size_t>(row) * width;
  return {reinterpret_cast<const float4*>(own),
          reinterpret_cast<const float4*>(norm_width == columns ? norm : nullptr),
          reinterpret_cast<const float4*>(width == 2 * columns ? own + columns : nullptr)};
}

__device__ inline float swiglu(float gate, float up) {
  return gate / (1.0f + expf(-gate)) * up;
}

// Four columns; a norm's squares are added to `squares`.
__device__ inline float4 four(const Row& row, int at, float& squares) {
  const float4 v = row.x[at];
  if (row.norm != nullptr) {
    const float4 w = row.norm[at];
    squares = fmaf(v.x, v.x, fmaf(v.y, v.y, fmaf(v.z, v.z, fmaf(v.w, v.w, squares))));
    return make_float4(v.x * w.x, v.y * w.y, v.z * w.z, v.w * w.w);
  }
  if (row.up != nullptr) {
    const float4 up = row.up[at];
    return make_float4(swiglu(v.x, up.x), swiglu(v.y, up.y), swiglu(v.z, up.z), swiglu(v.w, up.w));
  }
  return v;
}

__device__ inline float sum_of_warp(float value) {
#pragma unroll
  for (int step = 16; step > 0; step /= 2) value += __shfl_xor_sync(0xffffffffu, value, step);
  return value;
}

// Of all threads of the block, which are `warps` times 32.
__device__ inline float sum_of_block(float value, float* of_warps, int warps) {
  value = sum_of_warp(value);
  __syncthreads();
  if (threadIdx.x % 32 == 0) of_warps[threadIdx.x / 32] = value;
  __syncthreads();
  float sum = 0.0f;
  for (int warp = 0; warp < warps; ++warp) sum += of_warps[warp];
  return sum;
}

__device__ inline float norm_factor(float squares, int columns, float eps) {
  return 1.0f / sqrtf(squares / columns + eps);
}
)cuda";

}  // namespace bobby::mlx_backend
