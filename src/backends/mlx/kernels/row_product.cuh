// x W^T of few rows by 4 bits, with a norm or SwiGLU before it and adapters and a residual behind.
//
// A block of 8 warps makes 16 outputs at a time, a warp two of them: each lane takes 32 columns of
// both, 16 bytes of weights each, up to 4 times before it needs x. x lies in shared memory, 4,096
// columns of it, in float4s that are turned by their place in the chunk: neither filling nor
// reading meets a bank twice. A 4-bit number becomes a float without a conversion: in the mantissa
// of 2^23 it is there as q, 16 q, 256 q or 4,096 q, and x is divided by that beforehand (exactly).
#pragma once

#include "backends/mlx/kernels/row_input.cuh"

constexpr int kWarps = 8;
constexpr int kOutputs = 2;  // of a warp
constexpr int kChunk = 32;   // columns that a lane takes at a time
constexpr int kDepth = 4;    // chunks of a lane in a tile
constexpr int kTile = 32 * kChunk * kDepth;
constexpr int kQuads = kChunk / 4;

/// Affine, 4 bits, in groups of a multiple of 32 columns.
struct Matrix {
  const unsigned* weight;  ///< [outputs, columns / 8]
  const float* scales;     ///< [outputs, groups]
  const float* biases;
  int outputs;
  int columns;
  int groups;  ///< of a row
};

/// What adapters add: scale z b^T. Nothing, where b has another number of rows than the weight.
struct Addend {
  const float* z;      ///< [rows, ranks]
  const float* b;      ///< [outputs, ranks]
  const float* scale;  ///< one number
  int b_rows;
  int b_ranks;
};

/// Where the quad-th float4 of a chunk lies.
__device__ inline int place(int chunk, int quad) {
  return chunk / 32 * (32 * kQuads) + quad * 32 + (chunk + quad) % 32;
}

/// 2^23 in a register. The compiler does not know it: of two constants it would make two
/// instructions.
__device__ inline unsigned magic_number() {
  unsigned magic = 0x4b000000u;
#ifdef __CUDA_ARCH__
  asm volatile("mov.u32 %0, 0x4b000000;" : "=r"(magic));
#endif
  return magic;
}

/// The bits of mask, in the mantissa of 2^23.
template <unsigned mask>
__device__ inline float number(unsigned bits, unsigned magic) {
  unsigned made = (bits & mask) | magic;
#ifdef __CUDA_ARCH__
  asm("lop3.b32 %0, %1, %2, %3, 0xea;" : "=r"(made) : "r"(bits), "n"(mask), "r"(magic));
#endif
  return __uint_as_float(made) - 8388608.0f;
}

/// Four weights, the lower half of bits, times x that was divided by 1, 16, 256 and 4,096.
__device__ inline float times_four(unsigned bits, unsigned magic, float4 x, float sum) {
  sum = fmaf(number<0xfu>(bits, magic), x.x, sum);
  sum = fmaf(number<0xf0u>(bits, magic), x.y, sum);
  sum = fmaf(number<0xf00u>(bits, magic), x.z, sum);
  return fmaf(number<0xf000u>(bits, magic), x.w, sum);
}

/// One tile of the row from column `begin` on, zeros behind its end; sums: of each chunk. Returns
/// this thread's part of the squares.
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

/// Blocks are [row of x, first of its outputs], of 256 threads. residual: [rows, outputs], added
/// where `residual_width` is the number of outputs. y: [rows, outputs].
__device__ inline void row_product(const RowInput& x, const Matrix& matrix, const Addend& addend,
                                   const float* residual, int residual_width, float* y) {
  __shared__ float4 quads[kTile / 4];
  __shared__ float sums[kTile / kChunk];
  __shared__ float of_warps[kWarps];
  const int outputs = matrix.outputs, columns = matrix.columns, groups = matrix.groups;
  const int group_shift = __ffs(columns / groups / kChunk) - 1;
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  const Row row = row_of(x, blockIdx.x, columns);
  y += static_cast<size_t>(blockIdx.x) * outputs;
  residual += static_cast<size_t>(blockIdx.x) * outputs;
  const unsigned magic = magic_number();
  const int ranks = addend.b_rows == outputs ? addend.b_ranks : 0;
  const float* z = addend.z + static_cast<size_t>(blockIdx.x) * ranks;
  const float low = lane < ranks ? addend.scale[0] * z[lane] : 0.0f;
  int filled = -1;
  float squares = 0.0f, factor_of_row = 1.0f;
  bool normed = row.norm == nullptr;
  for (int first = blockIdx.y * kWarps * kOutputs; first < outputs;
       first += gridDim.y * kWarps * kOutputs) {
    const int output = first + warp * kOutputs;
    float total[kOutputs] = {};
    float column[kOutputs] = {};  // of b, asked for long before it is needed
    if (lane < ranks)
#pragma unroll
      for (int o = 0; o < kOutputs; ++o)
        if (output + o < outputs)
          column[o] = addend.b[static_cast<size_t>(output + o) * ranks + lane];
    for (int begin = 0; begin < columns; begin += kTile) {
      uint4 bits[kDepth][kOutputs];
      float factor[kDepth][kOutputs], bias[kDepth][kOutputs];
#pragma unroll
      for (int i = 0; i < kDepth; ++i)
#pragma unroll
        for (int o = 0; o < kOutputs; ++o) {
          const int chunk = begin / kChunk + i * 32 + lane;
          const bool there = chunk * kChunk < columns && output + o < outputs;
          const size_t at = output + o;
          bits[i][o] = make_uint4(0, 0, 0, 0);
          factor[i][o] = bias[i][o] = 0.0f;
          if (!there) continue;
          bits[i][o] = __ldcs(reinterpret_cast<const uint4*>(matrix.weight) +
                              at * (columns / kChunk) + chunk);
          factor[i][o] = __ldcs(matrix.scales + at * groups + (chunk >> group_shift));
          bias[i][o] = __ldcs(matrix.biases + at * groups + (chunk >> group_shift));
        }
      if (filled != begin) {
        __syncthreads();
        const float more = fill(row, begin, columns, quads, sums);
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
            const unsigned word = quad < 2 ? all.x : quad < 4 ? all.y : quad < 6 ? all.z : all.w;
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
      factor_of_row = norm_factor(sum_of_block(squares, of_warps, kWarps), columns, x.eps[0]);
      normed = true;
    }
#pragma unroll
    for (int o = 0; o < kOutputs; ++o) {
      float sum = fmaf(low, column[o], factor_of_row * total[o]);
      for (int rank = lane + 32; rank < ranks; rank += 32)
        if (output + o < outputs)
          sum = fmaf(addend.scale[0] * z[rank],
                     addend.b[static_cast<size_t>(output + o) * ranks + rank], sum);
      sum = sum_of_warp(sum);
      if (lane == 0 && output + o < outputs)
        y[output + o] = residual_width == outputs ? sum + residual[output + o] : sum;
    }
  }
}
