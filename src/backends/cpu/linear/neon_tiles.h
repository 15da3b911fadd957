// Quantised products of several rows of x, as TileKernels. Eight rows of the weight, a
// panel, are unpacked once into scratch, to bytes or words, and multiplied with blocks of x; each
// output has a lane of its own, and its sums run in the order that kernels.h states.
//
// A tile of packed x is blocks of rows, one after the other, each with all of its groups.
//
// T says how a panel meets a block, with kParts bytes of x for a column where they are bytes:
//   kWeightBytes, kXBytes<kParts>   of one level, and of one value of x
//   kBlock<kParts>                  rows of x of a block
//   put(group, size, row, parts, to)            one row's group into its block
//   store_unit<kBits>(unpacked[8], panel, unit) one unit of eight rows into the panel
//   group_sums<kGroup, kParts, kX>(panel, group, x, sums)
//                                   sums[kX][2] of the eight rows: H, or H - 128 * sum(q) with
//   kSignedLevels                   and 8 bits
#pragma once

#include "backends/cpu/linear/neon_pack.h"
#include "backends/cpu/linear/neon_vectors.h"

namespace bobby::cpu {
namespace {

constexpr int kPanelRows = 8;
// What the rows of x that all panels of a call are multiplied with may take of the second cache.
constexpr std::int64_t kTileXBytes = std::int64_t{512} << 10;

constexpr std::int64_t round_up(std::int64_t value, std::int64_t unit) {
  return (value + unit - 1) / unit * unit;
}

/// Eight rows of the weight in scratch: levels as T has them, then scales and biases in fp32, four
/// rows' [groups][4] after those of the other four.
struct Panel {
  Panel(void* scratch, std::int64_t columns, std::int64_t groups, int weight_bytes)
      : levels(static_cast<unsigned char*>(scratch)),
        half_levels(columns * kPanelRows / 2 * weight_bytes),
        half_scales(round_up(groups, 4) * kPanelRows / 2),
        scales(reinterpret_cast<float*>(levels + 2 * half_levels)),
        biases(scales + 2 * half_scales) {}
  static std::size_t bytes(std::int64_t columns, std::int64_t groups, int weight_bytes) {
    return static_cast<std::size_t>(columns * kPanelRows * weight_bytes +
                                    2 * round_up(groups, 4) * kPanelRows * 4);
  }
  unsigned char* levels;
  std::int64_t half_levels;  ///< bytes of four rows, where T keeps four rows together
  std::int64_t half_scales;  ///< floats of four rows
  float* scales;
  float* biases;
};

// ---- Packing --------------------------------------------------------------------------------

template <class T>
void pack_tile(const TilePackArgs& a) {
  const int parts = a.level == kInt8Level ? 1 : 2;
  const std::int64_t block_rows = parts == 1 ? T::template kBlock<1> : T::template kBlock<2>;
  const std::int64_t x_bytes = parts == 1 ? T::template kXBytes<1> : T::template kXBytes<2>;
  const int size = a.group_size;
  for (std::int64_t r = 0; r < a.rows + a.rows % 2; ++r) {  // blocks are read by even numbers
    for (std::int64_t g = a.group_begin; g < a.group_end; ++g) {
      PackedGroup group = {};
      if (r < a.rows) quantize(a.x + r * a.x_stride + g * size, size, a.level, group);
      a.scale[g * kTileX + r] = group.scale;
      a.sum[g * kTileX + r] = group.sum;
      std::int8_t* block = a.q + r / block_rows * block_rows * a.cols * x_bytes;
      T::put(group.q, size, static_cast<int>(r % block_rows), parts,
             block + g * size * block_rows * x_bytes);
    }
  }
}

// ---- Unpacking weights ----------------------------------------------------------------------

/// Rows [row, row + rows) of the weight. Where there are fewer than eight, the last one stands in.
template <class T, int kBits>
void unpack_levels(const QuantArgs& a, std::int64_t row, int rows, const Panel& panel) {
  const unsigned char* from[kPanelRows];
  for (int r = 0; r < kPanelRows; ++r) {
    from[r] = a.weight + (row + (r < rows ? r : rows - 1)) * a.weight_stride;
  }
  const std::int64_t units = a.groups * a.group_size / kUnit;
  for (std::int64_t unit = 0; unit < units; ++unit) {
    uint8x16x2_t levels[kPanelRows];
    BOBBY_UNROLL(8)
    for (int r = 0; r < kPanelRows; ++r) {
      levels[r] = unpack<kBits>(from[r] + unit * (kUnit * kBits / 8));
    }
    T::template store_unit<kBits>(levels, panel, unit);
  }
}

template <class T>
void unpack_levels(const QuantArgs& a, std::int64_t row, int rows, const Panel& panel) {
  switch (a.bits) {
    case 2: return unpack_levels<T, 2>(a, row, rows, panel);
    case 3: return unpack_levels<T, 3>(a, row, rows, panel);
    case 4: return unpack_levels<T, 4>(a, row, rows, panel);
    case 5: return unpack_levels<T, 5>(a, row, rows, panel);
    case 6: return unpack_levels<T, 6>(a, row, rows, panel);
    default: return unpack_levels<T, 8>(a, row, rows, panel);
  }
}

inline void unpack_scales(const QuantArgs& a, const unsigned char* from, std::int64_t row, int rows,
                          const Panel& panel, float* to) {
  const int size = a.scale_type == kF32 ? 4 : 2;
  for (int half = 0; half < 2; ++half, to += panel.half_scales) {
    const unsigned char* scales[4];
    for (int i = 0; i < 4; ++i) {
      const int r = 4 * half + i < rows ? 4 * half + i : rows - 1;
      scales[i] = from + (row + r) * a.scale_stride;
    }
    std::int64_t g = 0;
    const auto store = [&](int count) __attribute__((always_inline)) {
      float32x4x4_t four;
      BOBBY_UNROLL(4)
      for (int i = 0; i < 4; ++i) {
        four.val[i] = some_scales(scales[i] + g * size, a.scale_type, count);
      }
      vst4q_f32(to + g * 4, four);
    };
    for (; g + 4 <= a.groups; g += 4) store(4);
    if (g < a.groups) store(static_cast<int>(a.groups - g));
  }
}

// ---- Products -------------------------------------------------------------------------------

/// Sums of up to eight rows of x by class of groups.
template <int kX>
using ClassSums = float[kChunkGroups][kX][kPanelRows];

/// Adds group g of row kRow of x and those after it to their class's sums.
template <int kX, int kRow = 0>
[[gnu::always_inline]] inline void add_group(const int32x4_t (*h)[2], const float32x4_t* scale,
                                             const float32x4_t* bias, const float32x4_t* x_scale,
                                             const float32x4_t* x_sum, float (*sums)[kPanelRows]) {
  for (int half = 0; half < 2; ++half) {
    float* at = sums[kRow] + 4 * half;
    const float32x4_t both = vmulq_laneq_f32(scale[half], x_scale[kRow / 4], kRow % 4);
    const float32x4_t total = vfmaq_f32(vld1q_f32(at), both, vcvtq_f32_s32(h[kRow][half]));
    vst1q_f32(at, vfmaq_laneq_f32(total, bias[half], x_sum[kRow / 4], kRow % 4));
  }
  if constexpr (kRow + 1 < kX) {
    add_group<kX, kRow + 1>(h, scale, bias, x_scale, x_sum, sums);
  }
}

/// Folds the classes and writes the outputs.
template <int kX>
void write_outputs(const ClassSums<kX>& sums, int rows, std::int64_t out_stride, float* out) {
  for (int m = 0; m < kX; ++m, out += out_stride) {
    alignas(16) float folded[kPanelRows];
    float* to = rows == kPanelRows ? out : folded;
    for (int half = 0; half < 2; ++half) {
      float32x4_t sum[kChunkGroups];
      BOBBY_UNROLL(16)
      for (int c = 0; c < kChunkGroups; ++c) sum[c] = vld1q_f32(sums[c][m] + 4 * half);
      BOBBY_UNROLL(4)
      for (int step = kChunkGroups / 2; step > 0; step /= 2) {
        BOBBY_UNROLL(8)
        for (int c = 0; c < step; ++c) sum[c] = vaddq_f32(sum[c], sum[c + step]);
      }
      vst1q_f32(to + 4 * half, sum[0]);
    }
    for (int r = 0; to != out && r < rows; ++r) out[r] = folded[r];
  }
}

/// Where a panel's product begins in x and in the outputs.
struct Place {
  const std::int8_t* q;  // of the row of x, in its block
  const float* x_scale;  // of the tile from that row on
  const float* x_sum;
  float* out;
};

/// One panel, of `rows` rows, times kX rows of x of one block.
template <class T, int kGroup, int kParts, int kX>
void multiply(const QuantArgs& a, const Panel& panel, int rows, const Place& at) {
  constexpr int kFours = (kX + 3) / 4;
  constexpr std::int64_t kStep =
      std::int64_t{kGroup} * T::template kBlock<kParts> * T::template kXBytes<kParts>;
  alignas(64) ClassSums<kX> sums = {};
  for (std::int64_t g = 0; g < a.groups; ++g) {
    int32x4_t h[kX][2];
    T::template group_sums<kGroup, kParts, kX>(panel, g, at.q + g * kStep, h);
    float32x4_t x_scale[kFours];
    float32x4_t x_sum[kFours];
    float32x4_t scale[2];
    float32x4_t bias[2];
    for (int i = 0; i < kFours; ++i) {
      x_scale[i] = vld1q_f32(at.x_scale + g * kTileX + 4 * i);
      x_sum[i] = vld1q_f32(at.x_sum + g * kTileX + 4 * i);
    }
    for (int half = 0; half < 2; ++half) {
      scale[half] = vld1q_f32(panel.scales + half * panel.half_scales + g * 4);
      bias[half] = vld1q_f32(panel.biases + half * panel.half_scales + g * 4);
    }
    if (T::kSignedLevels && a.bits == 8) {
      alignas(16) std::int32_t offsets[4 * kFours];
      for (int i = 0; i < kFours; ++i) {
        vst1q_s32(offsets + 4 * i, level_offset(x_scale[i], x_sum[i]));
      }
      for (int m = 0; m < kX; ++m) {
        const int32x4_t offset = vld1q_dup_s32(offsets + m);
        for (int half = 0; half < 2; ++half) h[m][half] = vaddq_s32(h[m][half], offset);
      }
    }
    add_group<kX>(h, scale, bias, x_scale, x_sum, sums[g % kChunkGroups]);
  }
  write_outputs<kX>(sums, rows, a.out_stride, at.out);
}

/// Rows of x of one block, by twos.
template <class T, int kGroup, int kParts, int kX = T::template kBlock<kParts>>
void multiply_block(int x_rows, const QuantArgs& a, const Panel& panel, int rows, const Place& at) {
  if constexpr (kX > 2) {
    if (x_rows <= kX - 2) {
      return multiply_block<T, kGroup, kParts, kX - 2>(x_rows, a, panel, rows, at);
    }
  }
  multiply<T, kGroup, kParts, kX>(a, panel, rows, at);
}

/// One panel times rows [x_begin, x_end) of x; x_begin is the first of a tile.
template <class T, int kGroup, int kParts>
void panel_products(const QuantArgs& a, const Panel& panel, std::int64_t row, int rows,
                    std::int64_t x_begin, std::int64_t x_end) {
  constexpr int kBlock = T::template kBlock<kParts>;
  constexpr std::int64_t kColumn = std::int64_t{kGroup} * T::template kXBytes<kParts>;
  for (std::int64_t m = x_begin; m < x_end; m += kBlock) {
    const std::int64_t scales = m / kTileX * kTileX * a.groups + m % kTileX;
    const Place at = {a.q_tiles + m * a.groups * kColumn, a.x_scale + scales, a.x_sum + scales,
                      a.out + m * a.out_stride + row};
    const std::int64_t left = x_end - m;
    if (left % 2 == 0 || left >= kBlock) {
      multiply_block<T, kGroup, kParts>(static_cast<int>(left < kBlock ? left : kBlock), a, panel,
                                        rows, at);
      continue;
    }
    // An odd row at the end, with one of zeros beside it, whose outputs go nowhere.
    alignas(16) float outputs[kBlock][kPanelRows];
    QuantArgs apart = a;
    apart.out_stride = kPanelRows;
    Place there = at;
    there.out = outputs[0];
    multiply_block<T, kGroup, kParts>(static_cast<int>(left + 1), apart, panel, rows, there);
    for (std::int64_t i = 0; i < left; ++i) {
      for (int r = 0; r < rows; ++r) at.out[i * a.out_stride + r] = outputs[i][r];
    }
  }
}

template <class T, int kGroup, int kParts>
void all_panels(const QuantArgs& a) {
  const std::int64_t columns = a.groups * kGroup;
  const Panel panel(a.scratch, columns, a.groups, T::kWeightBytes);
  const std::int64_t tile_bytes = columns * kTileX * T::template kXBytes<kParts>;
  std::int64_t x_rows = kTileXBytes / tile_bytes * kTileX;
  if (x_rows < kTileX) x_rows = kTileX;
  for (std::int64_t begin = 0; begin < a.x_rows; begin += x_rows) {
    const std::int64_t end = begin + x_rows < a.x_rows ? begin + x_rows : a.x_rows;
    for (std::int64_t row = 0; row < a.rows; row += kPanelRows) {
      const int rows = static_cast<int>(a.rows - row < kPanelRows ? a.rows - row : kPanelRows);
      unpack_levels<T>(a, row, rows, panel);
      unpack_scales(a, a.scales, row, rows, panel, panel.scales);
      unpack_scales(a, a.biases, row, rows, panel, panel.biases);
      panel_products<T, kGroup, kParts>(a, panel, row, rows, begin, end);
    }
  }
}

template <class T, int kParts>
void quant_tiles_of(const QuantArgs& a) {
  switch (a.group_size) {
    case 32: return all_panels<T, 32, kParts>(a);
    case 64: return all_panels<T, 64, kParts>(a);
    default: return all_panels<T, 128, kParts>(a);
  }
}

template <class T>
void quant_tiles(const QuantArgs& a) {
  a.int8 ? quant_tiles_of<T, 1>(a) : quant_tiles_of<T, 2>(a);
}

template <class T>
std::size_t tile_scratch(const QuantArgs& a) {
  return Panel::bytes(a.groups * a.group_size, a.groups, T::kWeightBytes);
}

}  // namespace
}  // namespace bobby::cpu
