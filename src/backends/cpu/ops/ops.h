#pragma once

// The kernels of everything but linear(), one table for each instruction set. Each function works
// on one row, head or tile, alone: who calls it, and with what beside it, cannot change a bit.

#include <cstddef>
#include <cstdint>

#include "backends/kv_format.h"

namespace bobby::cpu {

/// Positions that are summed in one go, with a running maximum of their own. Longer contexts are
/// merged from such chunks, in order, whoever computed them: what a thread gets cannot change a
/// bit.
inline constexpr std::int64_t kChunkPositions = 256;

/// One KV head and the queries that look at it: `rows` consecutive rows of one sequence, `group`
/// query heads each. Row r sees the first `length + r` positions.
struct AttendTile {
  const float* q = nullptr;  ///< [rows, group, head_dim], rows `row_stride` floats apart
  float* out = nullptr;      ///< the same layout
  std::int64_t row_stride = 0;
  std::int64_t rows = 0;
  std::int64_t group = 0;
  std::int64_t head_dim = 0;
  std::int64_t length = 0;
  float scale = 0.0f;

  const std::byte* keys = nullptr;    ///< this head's part of block 0, as KvFormat says
  const std::byte* values = nullptr;  ///< the same
  KvFormat format = KvFormat::kF32;
  std::int64_t head_block_bytes = 0;  ///< of such a part
  std::int64_t block_stride = 0;      ///< bytes from one block to the next
  std::int64_t block_tokens = 0;
  const std::int32_t* blocks = nullptr;  ///< the sequence's block table

  float* scratch = nullptr;  ///< attend_scratch() floats, 64-byte aligned
};

/// Scratch rows are padded to this many floats: at least the lanes of every instruction set.
inline constexpr std::int64_t kScratchLanes = 16;

// Of internal linkage, because the kernels call them: see ops_body.h.

static constexpr std::int64_t padded_to_lanes(std::int64_t n) {
  return (n + kScratchLanes - 1) / kScratchLanes * kScratchLanes;
}

/// KV blocks of one chunk.
static constexpr std::int64_t chunk_blocks(const AttendTile& tile) {
  return kChunkPositions > tile.block_tokens ? kChunkPositions / tile.block_tokens : 1;
}

/// Chunks of what the tile's last row sees.
static constexpr std::int64_t chunks_of(const AttendTile& tile) {
  const std::int64_t positions = chunk_blocks(tile) * tile.block_tokens;
  return (tile.length + tile.rows - 1 + positions - 1) / positions;
}

/// Floats of what a chunk leaves of a tile: for each query the sums of weighted values
/// [queries, head_dim padded], then the largest score and the total weight [2, queries padded].
static constexpr std::int64_t partial_floats(const AttendTile& tile) {
  const std::int64_t queries = tile.rows * tile.group;
  return queries * padded_to_lanes(tile.head_dim) + 2 * padded_to_lanes(queries);
}

/// Floats of scratch that a tile needs: a block widened to fp32, the queries, the weights of a
/// block, and two partial results.
static constexpr std::int64_t attend_scratch(const AttendTile& tile) {
  const std::int64_t queries = tile.rows * tile.group;
  const std::int64_t dim = padded_to_lanes(tile.head_dim);
  const std::int64_t tokens = padded_to_lanes(tile.block_tokens);
  return tokens * dim + queries * (dim + tokens) + 2 * partial_floats(tile);
}

struct CpuOps {
  /// out = x / sqrt(mean(x^2) + eps) * weight over `cols` numbers. `out` may be `x`.
  void (*rms_norm)(const float* x, const float* weight, std::int64_t cols, float eps, float* out);
  /// Rotates the pairs (i, i + half) of one head, [2 * half].
  void (*rotate)(float* head, const float* cosines, const float* sines, std::int64_t half);
  /// A vector as KvFormat::kF16 has it; how many numbers were too large.
  std::int64_t (*to_half)(const float* x, std::int64_t count, std::uint16_t* out);
  /// A vector as KvFormat::kInt8 has it; its scale.
  float (*to_int8)(const float* x, std::int64_t count, std::int8_t* out);
  /// out = silu(gate) * up. `out` may be `gate`.
  void (*swiglu)(const float* gate, const float* up, std::int64_t count, float* out);
  /// x += y.
  void (*add)(float* x, const float* y, std::int64_t count);
  /// softmax(q k^T * scale) v for one tile.
  void (*attend)(const AttendTile& tile);
  /// The same in parts: what one chunk leaves; and the result from those of all chunks, which lie
  /// one after the other, partial_floats() each, and are spent.
  void (*attend_chunk)(const AttendTile& tile, std::int64_t chunk, float* partial);
  void (*attend_merge)(const AttendTile& tile, float* partials);
  /// e^x as swiglu and attend have it, within 2 units in the last place; here for its test.
  void (*exp)(const float* x, std::int64_t count, float* out);
};

extern const CpuOps kPortableOps;
#if defined(__x86_64__)
extern const CpuOps kAvx2Ops;
extern const CpuOps kAvx512Ops;
#elif defined(__aarch64__)
extern const CpuOps kNeonOps;
#endif

}  // namespace bobby::cpu
