// A row of x as products of few rows take it: what comes before a product is computed in its
// kernel.
#pragma once

/// x of several rows, as it is; or times a norm's weight, where `norm_width` is the number of
/// columns, and then times what norm_factor() gives; or gate | up, where `width` is twice as many.
struct RowInput {
  const float* x;
  int width;  ///< of a row in memory
  const float* norm;
  int norm_width;
  const float* eps;
};

/// One row of it.
struct Row {
  const float4* x;
  const float4* norm;  ///< or null
  const float4* up;    ///< or null
};

__device__ inline Row row_of(const RowInput& input, int row, int columns) {
  const float* own = input.x + static_cast<size_t>(row) * input.width;
  const float* norm = input.norm_width == columns ? input.norm : nullptr;
  const float* up = input.width == 2 * columns ? own + columns : nullptr;
  return {reinterpret_cast<const float4*>(own), reinterpret_cast<const float4*>(norm),
          reinterpret_cast<const float4*>(up)};
}

__device__ inline float swiglu(float gate, float up) {
  return gate / (1.0f + expf(-gate)) * up;
}

/// Four columns. A norm's squares are added to `squares`.
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

__device__ inline float norm_factor(float squares, int columns, float eps) {
  return 1.0f / sqrtf(squares / columns + eps);
}

__device__ inline float sum_of_warp(float value) {
#pragma unroll
  for (int step = 16; step > 0; step /= 2) value += __shfl_xor_sync(0xffffffffu, value, step);
  return value;
}

/// Of all threads of the block. of_warps: shared, one for each warp.
__device__ inline float sum_of_block(float value, float* of_warps, int warps) {
  value = sum_of_warp(value);
  __syncthreads();
  if (threadIdx.x % 32 == 0) of_warps[threadIdx.x / 32] = value;
  __syncthreads();
  float sum = 0.0f;
  for (int warp = 0; warp < warps; ++warp) sum += of_warps[warp];
  return sum;
}
