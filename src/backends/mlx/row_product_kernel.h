#pragma once

namespace bobby::mlx_backend {

/// CUDA C++: constants and functions of the kernel, which come behind kRowInputSource.
///
/// A block of 8 warps makes 16 outputs at a time, a warp two of them: each lane takes 32 columns of
/// both, 16 bytes of weights each, up to 4 times before it needs x. x lies in shared memory, 4,096
/// columns of it, in float4s that are turned by their place in the chunk: neither filling nor
/// reading meets a bank twice. A 4-bit number becomes a float without a conversion: in the mantissa
/// of 2^23 it is there as q, 16 q, 256 q or 4,096 q, and x is divided by that beforehand (exactly).
inline constexpr const char* kRowProductHeader = R"cuda(
constexpr int kWarps = 8;
constexpr int kOutputs = 2;   // of a warp
constexpr int kChunk = 32;    // columns that a lane takes at a time
constexpr int kDepth = 4;     // chunks of a lane in a tile
constexpr int kTile = 32 * kChunk * kDepth;
constexpr int kQuads = kChunk / 4;

// Where the quad-th float4 of a chunk lies.
__device__ inline int place(int chunk, int quad) {
  return chunk / 32 * (32 * kQuads) + quad * 32 + (chunk + quad) % 32;
}

// The bits of mask, in the mantissa of 2^23. Written as one instruction, with the magic number in a
// register: of two constants the compiler makes two.
template <unsigned mask>
__device__ inline float number(unsigned bits, unsigned magic) {
  unsigned made;
  asm("lop3.b32 %0, %1, %2, %3, 0xea;" : "=r"(made) : "r"(bits), "n"(mask), "r"(magic));
  return __uint_as_float(made) - 8388608.0f;
}

// Four weights, the lower half of bits, times x that was divided by 1, 16, 256 and 4,096.
__device__ inline float times_four(unsigned bits, unsigned magic, float4 x, float sum) {
  sum = fmaf(number<0xfu>(bits, magic), x.x, sum);
  sum = fmaf(number<0xf0u>(bits, magic), x.y, sum);
  sum = fmaf(number<0xf00u>(bits, magic), x.z, sum);
  return fmaf(number<0xf000u>(bits, magic), x.w, sum);
}

// One tile of the row from column `begin` on, zeros behind its end; sums: of each chunk. Returns
// this thread's part of the squares.
__device__ inline float fill(const Row& row, int begin, int columns, float4* quads, float* sums) {
  float squares = 0.0f;
#pragma unroll 2
  for (int i = 0; i < kTile / 4 / (32 * kWarps); ++i) {
    const int at = threadIdx.x + i * 32 * kWarps;
    const int chunk = at / kQuads, quad = at % kQuads;
    float4 v = make_float4(0.0f, 0.0f, 0.0f, 0.0f);
    if (begin + at * 4 < columns) v = four(row, begin / 4 + at, squares);
    quads[place(chunk, quad)] =
        make_float4(v.x, v.y * 0.0625f, v.z * 0.00390625f, v.w * 0.000244140625f);
    float sum = (v.x + v.y) + (v.z + v.w);
    for (int step = 1; step < kQuads; step *= 2) sum += __shfl_xor_sync(0xffffffffu, sum, step);
    if (quad == 0) sums[chunk] = sum;
  }
  return squares;
}
)cuda";

/// The kernel's body. Blocks are [row of x, first of its outputs]. What adapters add, scale z b^T,
/// comes in where `b` has as many rows as the weight: each lane adds its part of the ranks.
/// `residual` is added where it is as wide as the result.
inline constexpr const char* kRowProductBody = R"cuda(
  __shared__ float4 quads[kTile / 4];
  __shared__ float sums[kTile / kChunk];
  __shared__ float of_warps[kWarps];
  const int outputs = weight_shape[0], columns = weight_shape[1] * 8, groups = scales_shape[1];
  const int group_shift = __ffs(columns / groups / kChunk) - 1;
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  const Row input = row_of(x, x_shape[1], norm, norm_shape[0], blockIdx.x, columns);
  y += static_cast<size_t>(blockIdx.x) * outputs;
  residual += static_cast<size_t>(blockIdx.x) * outputs;
  unsigned magic;  // 2^23
  asm volatile("mov.u32 %0, 0x4b000000;" : "=r"(magic));
  const int ranks = b_shape[0] == outputs ? b_shape[1] : 0;
  z += static_cast<size_t>(blockIdx.x) * ranks;
  const float low = lane < ranks ? scale[0] * z[lane] : 0.0f;
  int filled = -1;
  float squares = 0.0f, factor_of_row = 1.0f;
  bool normed = input.norm == nullptr;
  for (int first = blockIdx.y * kWarps * kOutputs; first < outputs;
       first += gridDim.y * kWarps * kOutputs) {
    const int output = first + warp * kOutputs;
    float total[kOutputs] = {};
    float column[kOutputs] = {};  // of b, asked for long before it is needed
    if (lane < ranks)
#pragma unroll
      for (int o = 0; o < kOutputs; ++o)
        if (output + o < outputs) column[o] = b[static_cast<size_t>(output + o) * ranks + lane];
    for (int begin = 0; begin < columns; begin += kTile) {
      uint4 bits[kDepth][kOutputs];
      float factor[kDepth][kOutputs], bias[kDepth][kOutputs];
#pragma unroll
      for (int i = 0; i < kDepth; ++i)
#pragma unroll
        for (int o = 0; o < kOutputs; ++o) {
          const int chunk = begin / kChunk + i * 32 + lane;
          const bool there = chunk * kChunk < columns && output + o < outputs;
          const size_t row = output + o;
          bits[i][o] = make_uint4(0, 0, 0, 0);
          factor[i][o] = bias[i][o] = 0.0f;
          if (!there) continue;
          bits[i][o] = __ldcs(reinterpret_cast<const uint4*>(weight) +
                              row * (columns / kChunk) + chunk);
          factor[i][o] = __ldcs(scales + row * groups + (chunk >> group_shift));
          bias[i][o] = __ldcs(biases + row * groups + (chunk >> group_shift));
        }
      if (filled != begin) {
        __syncthreads();
        const float more = fill(input, begin, columns, quads, sums);
        if (!normed) squares += more;
        __syncthreads();
        filled = begin;
      }
#pragma unroll
      for (int i = 0; i < kDepth; ++i) {
        float dot[kOutputs] = {};
#pragma unroll
        for (int quad = 0; quad < kQuads; ++quad) {
          const float4 v = quads[place(i * 32 + lane, quad)];
#pragma unroll
          for (int o = 0; o < kOutputs; ++o) {
            const uint4 all = bits[i][o];
            const unsigned word =
                quad < 2 ? all.x : quad < 4 ? all.y : quad < 6 ? all.z : all.w;
            dot[o] = times_four(quad % 2 == 0 ? word : word >> 16, magic, v, dot[o]);
          }
        }
        const float sum = sums[i * 32 + lane];
#pragma unroll
        for (int o = 0; o < kOutputs; ++o)
          total[o] = fmaf(factor[i][o], dot[o], fmaf(bias[i][o], sum, total[o]));
      }
    }
    if (!normed) {
      factor_of_row = norm_factor(sum_of_block(squares, of_warps, kWarps), columns, eps[0]);
      normed = true;
    }
#pragma unroll
    for (int o = 0; o < kOutputs; ++o) {
      float sum = fmaf(low, column[o], factor_of_row * total[o]);
      for (int rank = lane + 32; rank < ranks; rank += 32)
        if (output + o < outputs)
          sum = fmaf(scale[0] * z[rank], b[static_cast<size_t>(output + o) * ranks + rank], sum);
      sum = sum_of_warp(sum);
      if (lane == 0 && output + o < outputs)
        y[output + o] = residual_shape[1] == outputs ? sum + residual[output + o] : sum;
    }
  }
)cuda";

/// x A^T, what a low-rank pair makes of x. Blocks are [row of x, rank], of 256 threads. `factor`
/// has one number for each of the results, or [16, 1] ones; where it is 0 the result is 0,
/// whatever the product is: another voice's infinity stays its own.
inline constexpr const char* kLowRankBody = R"cuda(
  __shared__ float of_warps[8];
  const int ranks = a_shape[0], columns = a_shape[1], rank = blockIdx.y;
  const Row input = row_of(x, x_shape[1], norm, norm_shape[0], blockIdx.x, columns);
  const float4* own = reinterpret_cast<const float4*>(a + static_cast<size_t>(rank) * columns);
  float squares = 0.0f, dot = 0.0f;
  for (int at = threadIdx.x; at < columns / 4; at += 256) {
    const float4 w = own[at];
    const float4 v = four(input, at, squares);
    dot = fmaf(v.x, w.x, fmaf(v.y, w.y, fmaf(v.z, w.z, fmaf(v.w, w.w, dot))));
  }
  dot = sum_of_block(dot, of_warps, 8);
  if (input.norm != nullptr)
    dot *= norm_factor(sum_of_block(squares, of_warps, 8), columns, eps[0]);
  const size_t at = static_cast<size_t>(blockIdx.x) * ranks + rank;
  const float f = factor_shape[1] == ranks ? factor[at] : factor[0];
  if (threadIdx.x == 0) z[at] = f == 0.0f ? 0.0f : dot * f;
)cuda";

}  // namespace bobby::mlx_backend
