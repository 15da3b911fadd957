#pragma once

// The kernels of rope_and_store() and attention(). Positions are taken in spans of kSpan, whose
// results are merged in order: what a row gets depends on its own length alone.

#include <cstdint>
#include <cuda_runtime.h>

#include "backends/kv_format.h"

namespace bobby::cuda {

inline constexpr int kSpan = 64;
inline constexpr int kHeadChunk = 256;  ///< the span of heads of 128: see head_attention.cuh

/// One row of a step: where it stands and where its sequence's block numbers begin.
struct RowPlace {
  int row = 0;
  int position = 0;
  int blocks_begin = 0;
};

/// One layer of the pool: [blocks, key or value, heads] parts of `part_bytes`, as KvFormat says.
struct KvLayer {
  unsigned char* data = nullptr;
  long long part_bytes = 0;
  int heads = 0;
  int head_dim = 0;
  int block_tokens = 0;
  KvFormat format = KvFormat::kF16;
  unsigned long long* saturated = nullptr;
};

/// How many positions at a time a row of this cache is attended over.
inline int span_of(const KvLayer& kv) {
  const bool in_words =
      kv.format == KvFormat::kF16 || (kv.format == KvFormat::kInt8 && kv.part_bytes % 8 == 0);
  return kv.head_dim == 128 && in_words ? kHeadChunk : kSpan;
}

/// The rows of a step in device memory.
struct Places {
  const RowPlace* rows = nullptr;
  const int* blocks = nullptr;
  const float2* angles = nullptr;  ///< [rows, head_dim / 2]: cosine and sine
  int count = 0;
};

struct RopeArgs {
  float* q = nullptr;
  float* k = nullptr;
  const float* v = nullptr;
  const float* q_norm = nullptr;
  const float* k_norm = nullptr;
  float eps = 0.0f;
  int heads = 0;  ///< of q
};

struct AttendArgs {
  const float* q = nullptr;
  float* out = nullptr;
  float scale = 0.0f;
  int heads = 0;
  int longest = 0;    ///< of the rows' lengths
  int spans = 0;      ///< of the longest row
  int row_begin = 0;  ///< of the rows in `places`, those of this pass
  int row_count = 0;
  float* parts = nullptr;    ///< [row_count, heads, spans, head_dim]: unnormalised outputs
  float2* totals = nullptr;  ///< [row_count, heads, spans]: the largest score, the sum of weights
};

void rope_angles(const RowPlace* rows, int count, const float* inv_freq, int half, float2* angles,
                 cudaStream_t stream);
void rope_and_store(const RopeArgs& args, const KvLayer& kv, const Places& places,
                    cudaStream_t stream);
/// Any heads but those of row_attention.h.
void attend(const AttendArgs& args, const KvLayer& kv, const Places& places, cudaStream_t stream);

}  // namespace bobby::cuda
