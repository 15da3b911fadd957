#pragma once

// Attention over heads of 128, as every kernel for them computes it: 16 warps take 16 positions
// each, a chunk of 256 at a time. What a row gets depends on its own length alone. Lane l holds the
// eight dimensions from 8 * (l % 16) on; the two halves of a warp take every other position.

#include <cuda_fp16.h>
#include <type_traits>

#include "backends/cuda/attention_kernels.h"
#include "backends/cuda/orders.cuh"

namespace bobby::cuda {

inline constexpr int kHeadDim = 128;
inline constexpr int kHeadWarps = 16;
inline constexpr int kWarpPositions = 16;
inline constexpr int kLanePositions = kWarpPositions / 2;  // of each half of a warp
inline constexpr float kLargestHalf = 65504.0f;

/// Eight cells of the cache, as they lie there.
template <KvFormat Format>
struct Cells {
  using Words = std::conditional_t<Format == KvFormat::kF16, uint4, uint2>;
  Words words = {};
  float scale = 1.0f;  // int8: of the whole vector

  __device__ float operator[](int i) const {
    if constexpr (Format == KvFormat::kF16)
      return __half2float(reinterpret_cast<const __half*>(&words)[i]);
    return static_cast<float>(reinterpret_cast<const signed char*>(&words)[i]);
  }
};

__device__ inline unsigned char* part_of(const KvLayer& kv, int block, int values, int head) {
  return kv.data + ((2ll * block + values) * kv.heads + head) * kv.part_bytes;
}

__device__ inline float* scales_of(const KvLayer& kv, unsigned char* part) {
  return reinterpret_cast<float*>(part + kv.part_bytes) - kv.block_tokens;
}

/// The same sum (or maximum) in the 16 lanes of each half of a warp.
__device__ inline float half_warp_sum(float value) {
  for (int offset = 8; offset > 0; offset /= 2)
    value += __shfl_xor_sync(0xffffffffu, value, offset);
  return value;
}
__device__ inline float half_warp_max(float value) {
  for (int offset = 8; offset > 0; offset /= 2)
    value = fmaxf(value, __shfl_xor_sync(0xffffffffu, value, offset));
  return value;
}

/// RMSNorm of a head (norm: this lane's eight weights, or null) and its rotation. angles: [64].
__device__ inline void rotate_head(float (&x)[8], const float* norm, float eps,
                                   const float2* angles, int lane) {
  if (norm) {
    float squares = 0.0f;
#pragma unroll
    for (int d = 0; d < 8; ++d) squares = fmaf(x[d], x[d], squares);
    const float factor = norm_factor(half_warp_sum(squares), kHeadDim, eps);
#pragma unroll
    for (int d = 0; d < 8; ++d) x[d] = x[d] * factor * norm[d];
  }
  const bool second = lane % 16 >= 8;
#pragma unroll
  for (int d = 0; d < 8; ++d) {
    const float other = __shfl_xor_sync(0xffffffffu, x[d], 8);
    const float2 angle = angles[lane % 8 * 8 + d];
    x[d] = second ? x[d] * angle.x + other * angle.y : x[d] * angle.x - other * angle.y;
  }
}

/// What the cache holds of a vector. `saturated` counts this lane's numbers beyond a half's range.
template <KvFormat Format>
__device__ inline Cells<Format> to_cells(const float (&x)[8], int& saturated) {
  Cells<Format> cells;
  if constexpr (Format == KvFormat::kF16) {
    auto* halves = reinterpret_cast<__half*>(&cells.words);
#pragma unroll
    for (int d = 0; d < 8; ++d) {
      saturated += fabsf(x[d]) > kLargestHalf;
      const float fitting = x[d] > kLargestHalf    ? kLargestHalf
                            : x[d] < -kLargestHalf ? -kLargestHalf
                                                   : x[d];
      halves[d] = __float2half_rn(fitting);
    }
  } else {
    float largest = 0.0f;
    bool finite = true;
#pragma unroll
    for (int d = 0; d < 8; ++d) {
      finite = finite && isfinite(x[d]);
      largest = fmaxf(largest, fabsf(x[d]));
    }
    largest = half_warp_max(largest);
    finite = half_warp_max(finite ? 0.0f : 1.0f) == 0.0f;
    cells.scale = finite ? largest / 127.0f : __int_as_float(0x7fc00000);
    auto* bytes = reinterpret_cast<signed char*>(&cells.words);
#pragma unroll
    for (int d = 0; d < 8; ++d)
      bytes[d] = static_cast<signed char>(
          cells.scale > 0.0f ? fminf(fmaxf(rintf(x[d] / cells.scale), -127.0f), 127.0f) : 0.0f);
  }
  return cells;
}

template <KvFormat Format>
__device__ inline void store_cells(const KvLayer& kv, unsigned char* part, int slot,
                                   const Cells<Format>& cells, int lane) {
  using Words = typename Cells<Format>::Words;
  reinterpret_cast<Words*>(part)[slot * 16 + lane % 16] = cells.words;
  if (Format == KvFormat::kInt8 && lane % 16 == 0) scales_of(kv, part)[slot] = cells.scale;
}

template <KvFormat Format>
__device__ inline Cells<Format> load_cells(const KvLayer& kv, int block, int values, int head,
                                           int slot, int lane) {
  using Words = typename Cells<Format>::Words;
  unsigned char* part = part_of(kv, block, values, head);
  Cells<Format> cells;
  cells.words = reinterpret_cast<const Words*>(part)[slot * 16 + lane % 16];
  if (Format == KvFormat::kInt8) cells.scale = scales_of(kv, part)[slot];
  return cells;
}

/// A warp's 16 positions: this lane's are first + 2 * j + lane / 16.
template <KvFormat Format>
struct Positions {
  Cells<Format> keys[kLanePositions], values[kLanePositions];

  /// Those before `end`, from the cache.
  __device__ void load(const KvLayer& kv, const int* blocks, int head, int first, int end,
                       int lane) {
#pragma unroll
    for (int j = 0; j < kLanePositions; ++j) {
      const int position = first + 2 * j + lane / 16;
      if (position >= end) continue;
      const int block = blocks[position / kv.block_tokens];
      const int slot = position % kv.block_tokens;
      keys[j] = load_cells<Format>(kv, block, 0, head, slot, lane);
      values[j] = load_cells<Format>(kv, block, 1, head, slot, lane);
    }
  }
};

/// A chunk's partial results on their way between the warps.
struct HeadShared {
  float outputs[kHeadWarps][kHeadDim];
  float2 totals[kHeadWarps];  // the largest score, the sum of weights
};

/// This lane's scores of its warp's positions, and the largest of all of them. key(j): position j.
template <KvFormat Format, typename Key>
__device__ inline float score_positions(const Key& key, const float (&q)[8], float scale, int first,
                                        int length, int lane, float (&scores)[kLanePositions]) {
  float most = -INFINITY;
#pragma unroll
  for (int j = 0; j < kLanePositions; ++j) {
    const Cells<Format> cells = key(j);
    float dot = 0.0f;
#pragma unroll
    for (int d = 0; d < 8; ++d) dot = fmaf(q[d], cells[d], dot);
    dot = half_warp_sum(dot);
    if (Format == KvFormat::kInt8) dot *= cells.scale;
    scores[j] = first + 2 * j + lane / 16 < length ? dot * scale : -INFINITY;
    most = fmaxf(most, scores[j]);
  }
  return fmaxf(most, __shfl_xor_sync(0xffffffffu, most, 16));
}

/// One warp's unnormalised outputs and their total into `shared`. value(j): position j.
template <KvFormat Format, typename Value>
__device__ inline void weigh_positions(const Value& value, const float (&scores)[kLanePositions],
                                       float most, int first, int length, int warp, int lane,
                                       HeadShared& shared) {
  float total = 0.0f;
  float outputs[8] = {};
#pragma unroll
  for (int j = 0; j < kLanePositions; ++j) {
    if (first + 2 * j + lane / 16 >= length) continue;
    const float weight = expf(scores[j] - most);
    total += weight;
    const Cells<Format> cells = value(j);
#pragma unroll
    for (int d = 0; d < 8; ++d) {
      float number = cells[d];
      if (Format == KvFormat::kInt8) number *= cells.scale;
      outputs[d] = fmaf(weight, number, outputs[d]);
    }
  }
  total += __shfl_xor_sync(0xffffffffu, total, 16);
#pragma unroll
  for (int d = 0; d < 8; ++d) outputs[d] += __shfl_xor_sync(0xffffffffu, outputs[d], 16);
  if (lane < 16) {
    float4* to = reinterpret_cast<float4*>(shared.outputs[warp] + lane * 8);
    to[0] = make_float4(outputs[0], outputs[1], outputs[2], outputs[3]);
    to[1] = make_float4(outputs[4], outputs[5], outputs[6], outputs[7]);
    if (lane == 0) shared.totals[warp] = make_float2(most, total);
  }
}

/// Dimension d of a chunk that has `positions` positions: its output before the division, and its
/// total, merged in the order of the warps. Lane w finds the weight of warp w.
__device__ inline float merge_warps(const HeadShared& shared, int positions, int d, int lane,
                                    float2& total) {
  const int warps = min(kHeadWarps, (positions + kWarpPositions - 1) / kWarpPositions);
  const float2 own = lane < warps ? shared.totals[lane] : make_float2(-INFINITY, 0.0f);
  const float most = warp_max(own.x);
  const float own_weight = expf(own.x - most);
  float output = 0.0f;
  float sum = 0.0f;
#pragma unroll
  for (int w = 0; w < kHeadWarps; ++w) {
    const float weight = __shfl_sync(0xffffffffu, own_weight, w);
    const float part = __shfl_sync(0xffffffffu, own.y, w);
    if (w >= warps) continue;
    output = fmaf(weight, shared.outputs[w][d], output);
    sum = fmaf(weight, part, sum);
  }
  total = make_float2(most, sum);
  return output;
}

/// The chunks of one row and head, merged in order. parts: [chunks, 128], totals: [chunks].
__device__ inline float merge_chunks(const float* parts, const float2* totals, int chunks, int d) {
  float most = -INFINITY;
  for (int c = 0; c < chunks; ++c) most = fmaxf(most, __ldcg(totals + c).x);
  float sum = 0.0f;
  float total = 0.0f;
  for (int c = 0; c < chunks; ++c) {
    const float2 of_chunk = __ldcg(totals + c);
    const float weight = expf(of_chunk.x - most);
    sum = fmaf(weight, __ldcg(parts + c * kHeadDim + d), sum);
    total = fmaf(weight, of_chunk.y, total);
  }
  return sum / total;
}

}  // namespace bobby::cuda
