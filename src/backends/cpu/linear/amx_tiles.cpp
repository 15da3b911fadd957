// Quantised products on the tiles of AMX: sixteen rows of the weight times sixteen rows of x at a
// time, the same bits as kernels.h states. A q15 value is 128 * high + low, both of eight bits, so
// that H = 128 * H_high + H_low, each exact in int32: two tile products a group, after which one
// vector holds H of one weight row for sixteen rows of x. An int8 value is low alone.

#include <immintrin.h>

#include "backends/cpu/linear/avx512_vectors.h"
#include "backends/cpu/linear/kernels.h"
#include "backends/cpu/linear/quantize_group.h"

namespace bobby::cpu {
namespace {

constexpr int kSide = 16;          // rows of the weight and rows of x of one tile product
constexpr int kBlockColumns = 64;  // columns of one stored tile
constexpr int kTileBytes = kSide * kBlockColumns;

constexpr std::int64_t round_up(std::int64_t value, std::int64_t unit) {
  return (value + unit - 1) / unit * unit;
}

// ---- Packing activations --------------------------------------------------------------------

// 32 and 32 words to 64 bytes, each word's lower half.
inline __m512i bytes_of_words(__m512i first, __m512i second) {
  return _mm512_inserti64x4(_mm512_castsi256_si512(_mm512_cvtepi16_epi8(first)),
                            _mm512_cvtepi16_epi8(second), 1);
}

// A tile of x: for each 64 columns the high parts, then the low parts, each [columns / 4][16 rows]
// of four bytes. Rows and columns that x does not have are zero.
void pack_tile(const TilePackArgs& a) {
  const bool int8 = a.level == kInt8Level;
  const int unit = a.group_size < kBlockColumns ? kBlockColumns : a.group_size;
  for (std::int64_t column = 0; column < a.cols; column += unit) {
    alignas(64) std::int16_t q[kSide][128];
    __builtin_memset(q, 0, sizeof q);
    for (int i = 0; i < unit && column + i < a.cols; i += a.group_size) {
      const std::int64_t g = (column + i) / a.group_size;
      for (int r = 0; r < kSide; ++r) {
        float scale = 0.0f;
        std::int32_t sum = 0;
        if (r < a.rows) {
          const float* x = a.x + r * a.x_stride + column + i;
          const GroupQuantizer quantizer =
              group_quantizer(x, a.group_size, static_cast<float>(a.level));
          scale = quantizer.scale;
          if (quantizer.inverse != 0.0f) {
            sum = quantize_group(x, a.group_size, quantizer.inverse, q[r] + i);
          }
        }
        a.scale[g * kSide + r] = scale;
        a.sum[g * kSide + r] = scale * static_cast<float>(sum);
      }
    }
    for (int i = 0; i < unit; i += kBlockColumns) {
      __m512i high[kSide];
      __m512i low[kSide];
      for (int r = 0; r < kSide; ++r) {
        const __m512i first = _mm512_load_si512(q[r] + i);
        const __m512i second = _mm512_load_si512(q[r] + i + 32);
        if (int8) {
          low[r] = bytes_of_words(first, second);
          continue;
        }
        const __m512i mask = _mm512_set1_epi16(127);
        high[r] = bytes_of_words(_mm512_srai_epi16(first, 7), _mm512_srai_epi16(second, 7));
        low[r] = bytes_of_words(_mm512_and_si512(first, mask), _mm512_and_si512(second, mask));
      }
      auto* out = reinterpret_cast<std::uint32_t*>(a.q + (column + i) * kSide * (int8 ? 1 : 2));
      if (!int8) {
        V::transpose(high, out);
        out += kTileBytes / 4;
      }
      V::transpose(low, out);
    }
  }
}

// ---- Unpacking weights ----------------------------------------------------------------------

// 64 values of kBits bits as bytes, in order.
template <int kBits>
inline __m512i unpack_block(const unsigned char* bytes) {
  if constexpr (kBits == 8) {
    return _mm512_loadu_si512(bytes);
  } else if constexpr (kBits == 4) {
    const __m512i words =
        _mm512_cvtepu8_epi16(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(bytes)));
    return _mm512_and_si512(_mm512_or_si512(words, _mm512_slli_epi16(words, 4)),
                            _mm512_set1_epi8(15));
  } else if constexpr (kBits == 2) {
    const __m512i lanes =
        _mm512_cvtepu8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(bytes)));
    const __m512i pairs = _mm512_or_si512(lanes, _mm512_slli_epi32(lanes, 12));
    return _mm512_and_si512(_mm512_or_si512(pairs, _mm512_slli_epi32(pairs, 6)),
                            _mm512_set1_epi8(3));
  } else {
    return bytes_of_words(V::spread<kBits>(bytes), V::spread<kBits>(bytes + 4 * kBits));
  }
}

// Sixteen rows of the weight, or a chunk of their groups: tiles [columns / 64][16][64], scales and
// biases [groups][16] in fp32.
struct Panel {
  unsigned char* tiles;
  float* scales;
  float* biases;
};

struct PanelSizes {
  PanelSizes(std::int64_t groups, int group_size)
      : tiles(round_up(groups * group_size, kBlockColumns) * kSide),
        scales(round_up(groups, kChunkGroups) * kSide * 4) {}
  std::int64_t bytes() const { return tiles + 2 * scales; }
  Panel at(void* scratch, std::int64_t index) const {
    auto* tiles_at = static_cast<unsigned char*>(scratch) + index * bytes();
    auto* scales_at = reinterpret_cast<float*>(tiles_at + tiles);
    return {tiles_at, scales_at, scales_at + scales / 4};
  }
  std::int64_t tiles;
  std::int64_t scales;
};

// Groups [first, first + kChunkGroups) of a row, or up to its end, of rows [row, row + rows).
struct Part {
  std::int64_t row;
  int rows;
  std::int64_t first;
  std::int64_t groups;
};

// Four blocks of a row at a time: all sixteen rows' tiles of them stay in the first cache.
template <int kBits>
void unpack_tiles(const QuantArgs& a, const Part& part, unsigned char* tiles) {
  constexpr int kBlockBytes = kBlockColumns * kBits / 8;
  constexpr std::int64_t kStep = 4 * kBlockBytes;
  const std::int64_t skip = part.first * a.group_size * kBits / 8;
  const std::int64_t bytes = part.groups * a.group_size * kBits / 8;
  for (std::int64_t begin = 0; begin < bytes; begin += kStep, tiles += 4 * kTileBytes) {
    const std::int64_t end = begin + kStep < bytes ? begin + kStep : bytes;
    for (int r = 0; r < kSide; ++r) {
      unsigned char* out = tiles + r * kBlockColumns;
      if (r >= part.rows) {
        for (std::int64_t at = begin; at < end; at += kBlockBytes, out += kTileBytes) {
          _mm512_store_si512(out, _mm512_setzero_si512());
        }
        continue;
      }
      const unsigned char* weight = a.weight + (part.row + r) * a.weight_stride + skip;
      std::int64_t at = begin;
      for (; at + kBlockBytes <= end; at += kBlockBytes, out += kTileBytes) {
        _mm512_store_si512(out, unpack_block<kBits>(weight + at));
      }
      if (at < end) {
        alignas(64) unsigned char copy[64] = {};
        __builtin_memcpy(copy, weight + at, end - at);
        _mm512_store_si512(out, unpack_block<kBits>(copy));
      }
    }
  }
}

inline __m512i load_scales(const unsigned char* bytes, int type) {
  if (type == kBF16) return V::bits(V::load_as<kBF16>(bytes));
  if (type == kF16) return V::bits(V::load_as<kF16>(bytes));
  return V::bits(V::load_as<kF32>(bytes));
}

void unpack_scales(const QuantArgs& a, const unsigned char* from, const Part& part, float* out) {
  const std::int64_t size = a.scale_type == kF32 ? 4 : 2;
  __m512i lanes[kSide];
  for (int r = 0; r < kSide; ++r) {
    const unsigned char* bytes = from + (part.row + r) * a.scale_stride + part.first * size;
    if (r < part.rows && part.groups == kChunkGroups) {
      lanes[r] = load_scales(bytes, a.scale_type);
      continue;
    }
    alignas(64) unsigned char copy[kChunkGroups * 4] = {};  // nothing past the row is read
    if (r < part.rows) __builtin_memcpy(copy, bytes, part.groups * size);
    lanes[r] = load_scales(copy, a.scale_type);
  }
  V::transpose(lanes, reinterpret_cast<std::uint32_t*>(out));
}

// One chunk to the start of `panel`.
void unpack_chunk(const QuantArgs& a, const Part& part, const Panel& panel) {
  switch (a.bits) {
    case 2: unpack_tiles<2>(a, part, panel.tiles); break;
    case 3: unpack_tiles<3>(a, part, panel.tiles); break;
    case 4: unpack_tiles<4>(a, part, panel.tiles); break;
    case 5: unpack_tiles<5>(a, part, panel.tiles); break;
    case 6: unpack_tiles<6>(a, part, panel.tiles); break;
    default: unpack_tiles<8>(a, part, panel.tiles); break;
  }
  unpack_scales(a, a.scales, part, panel.scales);
  unpack_scales(a, a.biases, part, panel.biases);
}

// ---- Products -------------------------------------------------------------------------------

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
// kTo += kA (unsigned bytes) * kB (signed bytes).
template <int kTo, int kA, int kB>
inline void tile_dot() {
  asm volatile("tdpbusd %%tmm%c2, %%tmm%c1, %%tmm%c0" ::"i"(kTo), "i"(kA), "i"(kB));
}

// Tile registers 0..3: sums (low and high of two groups); 4: weights; 5, 6: high and low of x.
void configure_tiles(int group_size) {
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
    config.rows[i] = kSide;
  }
  config.row_bytes[4] = static_cast<std::uint16_t>(columns);
  config.rows[4] = kSide;
  for (int i = 5; i < 7; ++i) {
    config.row_bytes[i] = 64;
    config.rows[i] = static_cast<std::uint8_t>(columns / 4);
  }
  asm volatile("ldtilecfg %0" ::"m"(config));  // GCC 12's intrinsic takes 8 bytes as its operand
}

// H_low and H_high of group g of a chunk to sums[2][16 rows of the weight][16 rows of x]; kParts is
// 1 where there is no H_high.
template <int kGroup, int kParts, int kLow, int kHigh>
inline void group_sums(const unsigned char* weights, const std::int8_t* x, std::int64_t g,
                       std::int32_t* sums) {
  constexpr int kColumns = kGroup < kBlockColumns ? kGroup : kBlockColumns;
  if constexpr (kParts == 2) tile_zero<kHigh>();
  tile_zero<kLow>();
#pragma GCC unroll 2
  for (int i = 0; i < kGroup; i += kColumns) {
    const std::int64_t block = (g * kGroup + i) / kBlockColumns;
    const std::int64_t inside = (g * kGroup + i) % kBlockColumns;
    const std::int8_t* high = x + block * kParts * kTileBytes + inside * kSide;
    tile_load<4>(weights + block * kTileBytes + inside, kBlockColumns);
    if constexpr (kParts == 2) tile_load<5>(high, 64);
    tile_load<6>(high + (kParts - 1) * kTileBytes, 64);
    if constexpr (kParts == 2) tile_dot<kHigh, 4, 5>();
    tile_dot<kLow, 4, 6>();
  }
  tile_store<kLow>(sums);
  if constexpr (kParts == 2) tile_store<kHigh>(sums + kSide * kSide);
}

// acc[16 rows of the weight][16 rows of x] of the group's class, as kernels.h states. The first
// group of a class finds +0 there.
template <int kParts, bool kFirst>
inline void add_group(const Panel& panel, const float* x_scale, const float* x_sum, std::int64_t g,
                      const std::int32_t* sums, float* acc) {
  const __m512 x_scales = _mm512_load_ps(x_scale + g * kSide);
  const __m512 x_sums = _mm512_load_ps(x_sum + g * kSide);
  const float* scales = panel.scales + g * kSide;
  const float* biases = panel.biases + g * kSide;
#pragma GCC unroll 16
  for (int r = 0; r < kSide; ++r) {
    __m512i sum = _mm512_load_si512(sums + r * kSide);
    if constexpr (kParts == 2) {
      const __m512i high = _mm512_load_si512(sums + (kSide + r) * kSide);
      sum = _mm512_add_epi32(_mm512_slli_epi32(high, 7), sum);
    }
    const __m512 h = _mm512_cvtepi32_ps(sum);
    __m512 total = kFirst ? _mm512_setzero_ps() : _mm512_load_ps(acc + r * kSide);
    total = _mm512_fmadd_ps(_mm512_mul_ps(_mm512_set1_ps(scales[r]), x_scales), h, total);
    total = _mm512_fmadd_ps(_mm512_set1_ps(biases[r]), x_sums, total);
    _mm512_store_ps(acc + r * kSide, total);
  }
}

using Sums = float[kChunkGroups][kSide * kSide];  // [class][16 rows of the weight][16 rows of x]

// Adds up one chunk, which begins with class 0. The tiles work on one group while the vectors add
// up the one before. `next`: what to prefetch meanwhile, `share` bytes a group; or null.
template <int kGroup, int kParts, bool kFirst>
void add_chunk(const Panel& chunk, std::int64_t groups, const std::int8_t* x, const float* x_scale,
               const float* x_sum, const unsigned char* next, std::int64_t share, Sums& acc) {
  alignas(64) std::int32_t sums[2][2 * kSide * kSide];
  group_sums<kGroup, kParts, 0, 1>(chunk.tiles, x, 0, sums[0]);
  for (std::int64_t g = 1; g <= groups; ++g) {
    if (g < groups) {
      if (g % 2 != 0) {
        group_sums<kGroup, kParts, 2, 3>(chunk.tiles, x, g, sums[1]);
      } else {
        group_sums<kGroup, kParts, 0, 1>(chunk.tiles, x, g, sums[0]);
      }
    }
    if (next != nullptr) {
      for (std::int64_t byte = 0; byte < share; byte += 64) {
        V::prefetch(next + (g - 1) * share + byte);
      }
    }
    add_group<kParts, kFirst>(chunk, x_scale, x_sum, g - 1, sums[(g - 1) % 2], acc[g - 1]);
  }
}

// Folds the classes and writes the outputs of one panel and one tile of x.
void finish(const QuantArgs& a, std::int64_t row, int rows, std::int64_t tile, Sums& acc) {
  for (int half = kChunkGroups / 2; half > 0; half /= 2) {
    for (int i = 0; i < half; ++i) {
      for (int r = 0; r < kSide * kSide; r += 16) {
        V::store_f(acc[i] + r, V::add(V::load_f(acc[i] + r), V::load_f(acc[i + half] + r)));
      }
    }
  }
  __m512i lanes[kSide];
  for (int r = 0; r < kSide; ++r) lanes[r] = _mm512_load_si512(acc[0] + r * kSide);
  alignas(64) std::uint32_t by_x[kSide * kSide];
  V::transpose(lanes, by_x);
  const auto wanted = static_cast<__mmask16>((1u << rows) - 1);
  const std::int64_t first = tile * kSide;
  for (std::int64_t m = first; m < first + kSide && m < a.x_rows; ++m) {
    _mm512_mask_storeu_epi32(a.out + m * a.out_stride + row, wanted,
                             _mm512_load_si512(by_x + (m - first) * kSide));
  }
}

// One panel times one tile of x. `whole`: the panel unpacked, or, when kUnpack, room for a chunk.
template <int kGroup, int kParts, bool kUnpack>
void tile_product(const QuantArgs& a, const Panel& whole, std::int64_t row, int rows,
                  std::int64_t tile) {
  constexpr std::int64_t kChunkColumns = kChunkGroups * kGroup;
  const std::int8_t* x =
      a.q_tiles + tile * round_up(a.groups * kGroup, kBlockColumns) * kParts * kSide;
  const float* x_scale = a.x_scale + tile * a.groups * kSide;
  const float* x_sum = a.x_sum + tile * a.groups * kSide;
  const std::int64_t share = kSide * kGroup * a.bits / 8;
  const unsigned char* next = kUnpack ? a.weight + (row + kSide) * a.weight_stride : nullptr;
  alignas(64) Sums acc;
  if (a.groups < kChunkGroups) __builtin_memset(acc, 0, sizeof acc);

  Panel chunk = whole;
  for (std::int64_t g = 0; g < a.groups; g += kChunkGroups) {
    const std::int64_t groups = a.groups - g < kChunkGroups ? a.groups - g : kChunkGroups;
    if constexpr (kUnpack) unpack_chunk(a, {row, rows, g, groups}, chunk);
    const auto add = g == 0 ? add_chunk<kGroup, kParts, true> : add_chunk<kGroup, kParts, false>;
    add(chunk, groups, x, x_scale, x_sum, next, share, acc);
    x += kChunkColumns * kParts * kSide;
    x_scale += kChunkGroups * kSide;
    x_sum += kChunkGroups * kSide;
    if constexpr (kUnpack) {
      next += kChunkGroups * share;
    } else {
      chunk.tiles += kChunkColumns * kSide;
      chunk.scales += kChunkGroups * kSide;
      chunk.biases += kChunkGroups * kSide;
    }
  }
  finish(a, row, rows, tile, acc);
}

template <int kGroup>
void unpack_panel(const QuantArgs& a, std::int64_t row, int rows, Panel panel) {
  for (std::int64_t g = 0; g < a.groups; g += kChunkGroups) {
    unpack_chunk(a, {row, rows, g, a.groups - g < kChunkGroups ? a.groups - g : kChunkGroups},
                 panel);
    panel.tiles += kChunkGroups * kGroup * kSide;
    panel.scales += kChunkGroups * kSide;
    panel.biases += kChunkGroups * kSide;
  }
}

template <int kGroup, int kParts>
void quant_group(const QuantArgs& a) {
  const std::int64_t x_tiles = (a.x_rows + kSide - 1) / kSide;
  const std::int64_t panels = (a.rows + kSide - 1) / kSide;
  const auto rows_of = [&](std::int64_t panel) {
    const std::int64_t left = a.rows - panel * kSide;
    return static_cast<int>(left < kSide ? left : kSide);
  };
  configure_tiles(kGroup);
  if (x_tiles == 1) {
    const Panel room = PanelSizes(kChunkGroups, kGroup).at(a.scratch, 0);
    for (std::int64_t p = 0; p < panels; ++p) {
      tile_product<kGroup, kParts, true>(a, room, p * kSide, rows_of(p), 0);
    }
  } else {
    // A tile of x stays in the second cache for all panels of the call.
    const PanelSizes sizes(a.groups, kGroup);
    for (std::int64_t p = 0; p < panels; ++p) {
      unpack_panel<kGroup>(a, p * kSide, rows_of(p), sizes.at(a.scratch, p));
    }
    for (std::int64_t tile = 0; tile < x_tiles; ++tile) {
      for (std::int64_t p = 0; p < panels; ++p) {
        tile_product<kGroup, kParts, false>(a, sizes.at(a.scratch, p), p * kSide, rows_of(p), tile);
      }
    }
  }
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
  if (a.x_rows <= kSide) {
    return static_cast<std::size_t>(PanelSizes(kChunkGroups, a.group_size).bytes());
  }
  const std::int64_t panels = (a.rows + kSide - 1) / kSide;
  return static_cast<std::size_t>(panels * PanelSizes(a.groups, a.group_size).bytes());
}

}  // namespace

const TileKernels kAmxTiles = {pack_tile, quant_tiles, tile_scratch};

}  // namespace bobby::cpu
