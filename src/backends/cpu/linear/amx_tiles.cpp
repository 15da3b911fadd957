// Quantised products on the tiles of AMX: up to sixteen rows of x times sixteen rows of the weight
// at a time, the same bits as kernels.h states. A q15 value is 128 * high + low, both of eight
// bits, so that H = 128 * H_high + H_low, each exact in int32: two tile products a group, after
// which one vector holds H of one row of x for sixteen rows of the weight. An int8 value is low
// alone. What a product costs goes with the rows of x: they are the rows of the tiles that are
// loaded and stored.

#include <immintrin.h>

#include "backends/cpu/linear/amx_layout.h"
#include "backends/cpu/linear/avx512_vectors.h"
#include "backends/cpu/linear/kernels.h"

namespace bobby::cpu {
namespace {

// The tile registers by number, which the compiler's own intrinsics take as literals only.
template <int kTile>
inline void tile_zero() {
  asm volatile("tilezero %%tmm%c0" ::"i"(kTile));
}
template <int kTile>
inline void tile_load(const void* from, std::int64_t stride) {
  asm volatile("tileloadd (%0,%1,1), %%tmm%c2" ::"r"(from), "r"(stride), "i"(kTile) : "memory");
}
template <int kTile>
inline void tile_store(void* to) {
  asm volatile("tilestored %%tmm%c2, (%0,%1,1)" ::"r"(to), "r"(std::int64_t{64}), "i"(kTile)
               : "memory");
}
// kTo += kA (signed bytes) * kB (unsigned bytes).
template <int kTo, int kA, int kB>
inline void tile_dot() {
  asm volatile("tdpbsud %%tmm%c2, %%tmm%c1, %%tmm%c0" ::"i"(kTo), "i"(kA), "i"(kB));
}

// Tile registers 0..3: sums (low and high of two groups) of `rows` rows of x; 4: weights; 5, 6:
// high and low of x.
void configure_tiles(int group_size, int rows) {
  const int columns = group_size < kBlockColumns ? group_size : kBlockColumns;
  struct alignas(64) {
    std::uint8_t palette = 1;
    std::uint8_t start_row = 0;
    std::uint8_t reserved[14] = {};
    std::uint16_t row_bytes[16] = {};
    std::uint8_t rows[16] = {};
  } config;
  for (int i = 0; i < 4; ++i) {
    config.row_bytes[i] = 64;
    config.rows[i] = static_cast<std::uint8_t>(rows);
  }
  config.row_bytes[4] = 64;
  config.rows[4] = static_cast<std::uint8_t>(columns / 4);
  for (int i = 5; i < 7; ++i) {
    config.row_bytes[i] = static_cast<std::uint16_t>(columns);
    config.rows[i] = static_cast<std::uint8_t>(rows);
  }
  asm volatile("ldtilecfg %0" ::"m"(config));  // GCC 12's intrinsic takes 8 bytes as its operand
}

// H_low and H_high of one group to sums[2][16 rows of x][16 rows of the weight]; kParts is 1 where
// there is no H_high.
template <int kGroup, int kParts, int kLow, int kHigh>
inline void group_sums(const unsigned char* weights, const std::int8_t* x, std::int32_t* sums) {
  constexpr int kColumns = kGroup < kBlockColumns ? kGroup : kBlockColumns;
  if constexpr (kParts == 2) tile_zero<kHigh>();
  tile_zero<kLow>();
#pragma GCC unroll 2
  for (int i = 0; i < kGroup; i += kColumns) {
    const std::int8_t* block = x + i * kSide * kParts;
    tile_load<4>(weights + i * kSide, 64);
    if constexpr (kParts == 2) tile_load<5>(block, kColumns);
    tile_load<6>(block + (kParts - 1) * kColumns * kSide, kColumns);
    if constexpr (kParts == 2) tile_dot<kHigh, 5, 4>();
    tile_dot<kLow, 6, 4>();
  }
  tile_store<kLow>(sums);
  if constexpr (kParts == 2) tile_store<kHigh>(sums + kSide * kSide);
}

// Adds group g to total[rows of x], of sixteen rows of the weight each, as kernels.h states. `rows`
// is looked at every second row: the vectors stay in registers, at most one too many is worked on.
template <int kParts>
inline void add_group(const Panel& panel, const float* x_scale, const float* x_sum, std::int64_t g,
                      int rows, const std::int32_t* sums, __m512* total) {
  const __m512 scale = _mm512_load_ps(panel.scales + g * kSide);
  const __m512 bias = _mm512_load_ps(panel.biases + g * kSide);
  x_scale += g * kSide;
  x_sum += g * kSide;
#pragma GCC unroll 16
  for (int m = 0; m < kSide; ++m) {
    if (m % 2 == 0 && m >= rows) return;
    __m512i sum = _mm512_load_si512(sums + m * kSide);
    if constexpr (kParts == 2) {
      const __m512i high = _mm512_load_si512(sums + (kSide + m) * kSide);
      sum = _mm512_add_epi32(_mm512_slli_epi32(high, 7), sum);
    }
    const __m512 h = _mm512_cvtepi32_ps(sum);
    total[m] = _mm512_fmadd_ps(_mm512_mul_ps(scale, _mm512_set1_ps(x_scale[m])), h, total[m]);
    total[m] = _mm512_fmadd_ps(bias, _mm512_set1_ps(x_sum[m]), total[m]);
  }
}

using Sums = float[kChunkGroups][kSide * kSide];  // [class][16 rows of x][16 rows of the weight]

// What to fetch into the second cache while a panel is worked on: weights, and scales and biases,
// so many bytes a group. Null: nothing.
struct Prefetch {
  const unsigned char* weights = nullptr;
  const unsigned char* scales = nullptr;
  const unsigned char* biases = nullptr;
  std::int64_t weight_bytes = 0;
  std::int64_t scale_bytes = 0;

  void group() {
    if (weights == nullptr) return;
    for (std::int64_t byte = 0; byte < weight_bytes; byte += 64) V::prefetch(weights + byte);
    V::prefetch(scales);
    V::prefetch(biases);
    weights += weight_bytes;
    scales += scale_bytes;
    biases += scale_bytes;
  }
};

// One tile of x and everything a product needs of it.
struct XTile {
  const std::int8_t* q;
  const float* scale;
  const float* sum;
  int rows;
};

// The sums of one strip's classes. The tiles work on one group while the vectors add up the one
// before.
template <int kGroup, int kParts>
void add_strip(std::int64_t groups, std::int64_t strip, const Panel& panel, const XTile& x,
               Prefetch& next, Sums& acc) {
  constexpr std::int64_t kGroupBytes =
      std::int64_t{kGroup} * kSide;  // of a part of x or of weights
  const std::int64_t class_stride = Strips<kGroup>(groups).wide(strip) * kGroupBytes;
  const std::int64_t first_class = strip * kStripClasses<kGroup>;
  const auto count = [&](std::int64_t c) {
    return groups > c ? (groups - c + kChunkGroups - 1) / kChunkGroups : 0;
  };
  for (std::int64_t c = 0; c < kStripClasses<kGroup>; ++c) {  // those that have no groups at all
    if (count(first_class + c) == 0) __builtin_memset(acc[first_class + c], 0, sizeof acc[0]);
  }
  const std::int64_t begin = class_begin(groups, first_class);
  const std::int64_t end = class_begin(groups, first_class + kStripClasses<kGroup>);
  if (begin == end) return;

  alignas(64) std::int32_t sums[2][2 * kSide * kSide];
  __m512 total[kSide];
#pragma GCC unroll 16
  for (int m = 0; m < kSide; ++m) total[m] = _mm512_setzero_ps();
  const std::int8_t* q = x.q + begin * kGroupBytes * kParts;
  group_sums<kGroup, kParts, 0, 1>(panel.tiles, q, sums[0]);
  std::int64_t c = 0;  // the class, of the strip's, and the group in it whose sums are ready
  std::int64_t i = 0;
  for (std::int64_t at = begin; at < end; ++at) {
    const std::int64_t added_to = first_class + c;
    const std::int64_t g = added_to + i * kChunkGroups;
    const bool last = ++i == count(added_to);
    if (last) {
      ++c;
      i = 0;
    }
    const bool odd = (at - begin) % 2 != 0;
    if (at + 1 < end) {
      q += kGroupBytes * kParts;
      const unsigned char* weights = panel.tiles + c * class_stride + i * kGroupBytes;
      if (odd) {
        group_sums<kGroup, kParts, 0, 1>(weights, q, sums[0]);
      } else {
        group_sums<kGroup, kParts, 2, 3>(weights, q, sums[1]);
      }
    }
    next.group();
    add_group<kParts>(panel, x.scale, x.sum, g, x.rows, sums[odd ? 1 : 0], total);
    if (last) {
#pragma GCC unroll 16
      for (int m = 0; m < kSide; ++m) {
        _mm512_store_ps(acc[added_to] + m * kSide, total[m]);
        total[m] = _mm512_setzero_ps();
      }
    }
  }
}

// Folds the classes and writes the outputs of one panel and one tile of x.
void finish(const QuantArgs& a, std::int64_t row, int rows, std::int64_t x_row, int x_rows,
            const Sums& acc) {
  const auto wanted = static_cast<__mmask16>((1u << rows) - 1);
  for (int m = 0; m < x_rows; ++m) {
    __m512 sum[kChunkGroups];
#pragma GCC unroll 16
    for (int i = 0; i < kChunkGroups; ++i) sum[i] = _mm512_load_ps(acc[i] + m * kSide);
#pragma GCC unroll 4
    for (int half = kChunkGroups / 2; half > 0; half /= 2) {
#pragma GCC unroll 8
      for (int i = 0; i < half; ++i) sum[i] = _mm512_add_ps(sum[i], sum[i + half]);
    }
    _mm512_mask_storeu_ps(a.out + (x_row + m) * a.out_stride + row, wanted, sum[0]);
  }
}

template <int kGroup, int kParts>
XTile x_tile(const QuantArgs& a, std::int64_t tile) {
  const std::int64_t scales = tile * a.groups * kSide;
  const std::int64_t left = a.x_rows - tile * kSide;
  return {a.q_tiles + tile * a.groups * kGroup * kParts * kSide, a.x_scale + scales,
          a.x_sum + scales, static_cast<int>(left < kSide ? left : kSide)};
}

// All panels times the only tile of x, each strip unpacked just before its products.
template <int kGroup, int kParts>
void one_tile(const QuantArgs& a) {
  const Panel panel = PanelSizes(Strips<kGroup>(a.groups).wide(0), a.groups).at(a.scratch, 0);
  const XTile x = x_tile<kGroup, kParts>(a, 0);
  configure_tiles(kGroup, x.rows);
  alignas(64) Sums acc;
  for (std::int64_t row = 0; row < a.rows; row += kSide) {
    const int rows = static_cast<int>(a.rows - row < kSide ? a.rows - row : kSide);
    // Weights lie in order: past the last panel of this call begins the next call's first.
    Prefetch next = {
        a.weight + (row + kSide) * a.weight_stride, a.scales + (row + kSide) * a.scale_stride,
        a.biases + (row + kSide) * a.scale_stride, std::int64_t{kSide} * kGroup * a.bits / 8,
        kSide * (a.scale_type == kF32 ? 4 : 2)};
    unpack_scales(a, row, rows, panel);
    for (std::int64_t strip = 0; strip < kStrips<kGroup>; ++strip) {
      unpack_strip<kGroup>(a, row, rows, strip, panel.tiles);
      add_strip<kGroup, kParts>(a.groups, strip, panel, x, next, acc);
    }
    finish(a, row, rows, 0, x.rows, acc);
  }
}

// All panels unpacked, then each tile of x, which stays in the second cache, times all of them.
template <int kGroup, int kParts>
void many_tiles(const QuantArgs& a) {
  const Strips<kGroup> strips(a.groups);
  const PanelSizes sizes(strips.all, a.groups);
  const std::int64_t panels = (a.rows + kSide - 1) / kSide;
  const auto rows_of = [&](std::int64_t panel) {
    const std::int64_t left = a.rows - panel * kSide;
    return static_cast<int>(left < kSide ? left : kSide);
  };
  const auto each_strip = [&](std::int64_t p, const auto& run) {
    Panel panel = sizes.at(a.scratch, p);
    for (std::int64_t strip = 0; strip < kStrips<kGroup>; ++strip) {
      run(strip, panel);
      panel.tiles += strips.wide(strip) * kWide * kSide;
    }
  };
  for (std::int64_t p = 0; p < panels; ++p) {
    unpack_scales(a, p * kSide, rows_of(p), sizes.at(a.scratch, p));
    each_strip(p, [&](std::int64_t strip, const Panel& panel) {
      unpack_strip<kGroup>(a, p * kSide, rows_of(p), strip, panel.tiles);
    });
  }
  alignas(64) Sums acc;
  int configured = 0;
  for (std::int64_t tile = 0; tile * kSide < a.x_rows; ++tile) {
    const XTile x = x_tile<kGroup, kParts>(a, tile);
    if (x.rows != configured) configure_tiles(kGroup, configured = x.rows);
    for (std::int64_t p = 0; p < panels; ++p) {
      each_strip(p, [&](std::int64_t strip, const Panel& panel) {
        Prefetch nothing;
        add_strip<kGroup, kParts>(a.groups, strip, panel, x, nothing, acc);
      });
      finish(a, p * kSide, rows_of(p), tile * kSide, x.rows, acc);
    }
  }
}

template <int kGroup, int kParts>
void quant_group(const QuantArgs& a) {
  a.x_rows <= kSide ? one_tile<kGroup, kParts>(a) : many_tiles<kGroup, kParts>(a);
  _tile_release();
}

template <int kParts>
void quant_group_sizes(const QuantArgs& a) {
  switch (a.group_size) {
    case 32: return quant_group<32, kParts>(a);
    case 64: return quant_group<64, kParts>(a);
    default: return quant_group<128, kParts>(a);
  }
}

void quant_tiles(const QuantArgs& a) {
  a.int8 ? quant_group_sizes<1>(a) : quant_group_sizes<2>(a);
}

std::size_t tile_scratch(const QuantArgs& a) {
  const std::int64_t wide = (a.groups * a.group_size + kWide - 1) / kWide;
  if (a.x_rows <= kSide) {
    const std::int64_t strips = std::int64_t{kChunkGroups} * a.group_size / kWide;
    return static_cast<std::size_t>(PanelSizes((wide + strips - 1) / strips, a.groups).bytes());
  }
  const std::int64_t panels = (a.rows + kSide - 1) / kSide;
  return static_cast<std::size_t>(panels * PanelSizes(wide, a.groups).bytes());
}

}  // namespace

const TileKernels kAmxTiles = {3, pack_tile, quant_tiles, tile_scratch};

}  // namespace bobby::cpu
