#pragma once

// The kernels of everything but linear(), one table for each instruction set. Each function works
// on one row, head or tile, alone: who calls it, and with what beside it, cannot change a bit.

#include <cstdint>

namespace bobby::cpu {

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

  const void* keys = nullptr;     ///< block 0 of this head: [block_tokens, head_dim]
  const void* values = nullptr;   ///< the same layout
  bool half = false;              ///< fp16 elements; otherwise fp32
  std::int64_t block_stride = 0;  ///< elements from one block to the next
  std::int64_t block_tokens = 0;
  const std::int32_t* blocks = nullptr;  ///< the sequence's block table

  float* scratch = nullptr;  ///< attend_scratch() floats, 64-byte aligned
};

/// Scratch rows are padded to this many floats: at least the lanes of every instruction set.
inline constexpr std::int64_t kScratchLanes = 16;

/// Floats of scratch that a tile needs.
inline std::int64_t attend_scratch(const AttendTile& tile) {
  const auto padded = [](std::int64_t n) {
    return (n + kScratchLanes - 1) / kScratchLanes * kScratchLanes;
  };
  const std::int64_t queries = tile.rows * tile.group;
  const std::int64_t dim = padded(tile.head_dim);
  const std::int64_t tokens = padded(tile.block_tokens);
  return tokens * dim + queries * (2 * dim + tokens + 2);
}

struct CpuOps {
  /// out = x / sqrt(mean(x^2) + eps) * weight over `cols` numbers. `out` may be `x`.
  void (*rms_norm)(const float* x, const float* weight, std::int64_t cols, float eps, float* out);
  /// Rotates the pairs (i, i + half) of one head, [2 * half].
  void (*rotate)(float* head, const float* cosines, const float* sines, std::int64_t half);
  /// fp32 to fp16, round to nearest even, saturating at +-65504; NaN stays NaN.
  void (*to_half)(const float* x, std::int64_t count, std::uint16_t* out);
  /// out = silu(gate) * up. `out` may be `gate`.
  void (*swiglu)(const float* gate, const float* up, std::int64_t count, float* out);
  /// x += y.
  void (*add)(float* x, const float* y, std::int64_t count);
  /// softmax(q k^T * scale) v for one tile.
  void (*attend)(const AttendTile& tile);
  /// e^x as swiglu and attend have it, within 2 units in the last place; here for its test.
  void (*exp)(const float* x, std::int64_t count, float* out);
};

extern const CpuOps kPortableOps;
#if defined(__x86_64__)
extern const CpuOps kAvx2Ops;
extern const CpuOps kAvx512Ops;
#endif

}  // namespace bobby::cpu
