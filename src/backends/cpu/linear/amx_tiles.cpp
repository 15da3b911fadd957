// Quantised products on the tiles of AMX: sixteen rows of the weight times sixteen rows of x at a
// time, the same bits as kernels.h states. A q15 value is 128 * high + low, both of eight bits, so
// that H = 128 * H_high + H_low, each exact in int32: two tile products a group, after which one
// vector holds H of one weight row for sixteen rows of x.

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
          const GroupQuantizer quantizer = group_quantizer(x, a.group_size);
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
        const __m512i mask = _mm512_set1_epi16(127);
        high[r] = bytes_of_words(_mm512_srai_epi16(first, 7), _mm512_srai_epi16(second, 7));
        low[r] = bytes_of_words(_mm512_and_si512(first, mask), _mm512_and_si512(second, mask));
      }
      auto* out = reinterpret_cast<std::uint32_t*>(a.q + (column + i) * 2 * kSide);
      V::transpose(high, out);
      V::transpose(low, out + kTileBytes / 4);
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

// Sixteen rows of the weight: tiles [columns / 64][16][64], scales and biases [groups][16] in fp32.
struct Panel {
  unsigned char* tiles;
  float* scales;
  float* biases;
};

struct PanelSizes {
  explicit PanelSizes(const QuantArgs& a)
      : tiles(round_up(a.groups * a.group_size, kBlockColumns) * kSide),
        scales(round_up(a.groups, kChunkGroups) * kSide * 4) {}
  std::int64_t bytes() const { return tiles + 2 * scales; }
  Panel at(void* scratch, std::int64_t index) const {
    auto* tiles_at = static_cast<unsigned char*>(scratch) + index * bytes();
    auto* scales_at = reinterpret_cast<float*>(tiles_at + tiles);
    return {tiles_at, scales_at, scales_at + scales / 4};
  }
  std::int64_t tiles;
  std::int64_t scales;
};

template <int kBits>
void unpack_tiles(const QuantArgs& a, std::int64_t row, int rows, unsigned char* tiles) {
  constexpr int kBlockBytes = kBlockColumns * kBits / 8;
  const std::int64_t row_bytes = a.groups * a.group_size * kBits / 8;
  for (int r = 0; r < kSide; ++r) {
    unsigned char* out = tiles + r * kBlockColumns;
    if (r >= rows) {
      for (std::int64_t at = 0; at < row_bytes; at += kBlockBytes, out += kTileBytes) {
        _mm512_store_si512(out, _mm512_setzero_si512());
      }
      continue;
    }
    const unsigned char* weight = a.weight + (row + r) * a.weight_stride;
    std::int64_t at = 0;
    for (; at + kBlockBytes <= row_bytes; at += kBlockBytes, out += kTileBytes) {
      _mm512_store_si512(out, unpack_block<kBits>(weight + at));
    }
    if (at < row_bytes) {
      alignas(64) unsigned char copy[64] = {};
      __builtin_memcpy(copy, weight + at, row_bytes - at);
      _mm512_store_si512(out, unpack_block<kBits>(copy));
    }
  }
}

void unpack_scales(const QuantArgs& a, const unsigned char* from, std::int64_t row, int rows,
                   float* out) {
  const std::size_t size = a.scale_type == kF32 ? 4 : 2;
  for (std::int64_t g = 0; g < a.groups; g += kChunkGroups) {
    const std::int64_t left = a.groups - g < kChunkGroups ? a.groups - g : kChunkGroups;
    __m512i lanes[kSide];
    for (int r = 0; r < kSide; ++r) {
      alignas(64) unsigned char copy[kChunkGroups * 4] = {};
      if (r < rows)
        __builtin_memcpy(copy, from + (row + r) * a.scale_stride + g * size, left * size);
      lanes[r] = V::bits(a.scale_type == kBF16  ? V::load_as<kBF16>(copy)
                         : a.scale_type == kF16 ? V::load_as<kF16>(copy)
                                                : V::load_as<kF32>(copy));
    }
    V::transpose(lanes, reinterpret_cast<std::uint32_t*>(out + g * kSide));
  }
}

void unpack_panel(const QuantArgs& a, std::int64_t row, int rows, const Panel& panel) {
  switch (a.bits) {
    case 2: unpack_tiles<2>(a, row, rows, panel.tiles); break;
    case 3: unpack_tiles<3>(a, row, rows, panel.tiles); break;
    case 4: unpack_tiles<4>(a, row, rows, panel.tiles); break;
    case 5: unpack_tiles<5>(a, row, rows, panel.tiles); break;
    case 6: unpack_tiles<6>(a, row, rows, panel.tiles); break;
    default: unpack_tiles<8>(a, row, rows, panel.tiles); break;
  }
  unpack_scales(a, a.scales, row, rows, panel.scales);
  unpack_scales(a, a.biases, row, rows, panel.biases);
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

// Tile registers 0..3: sums (high and low of two groups); 4: weights; 5, 6: high and low of x.
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

// H_high and H_low of one group to sums[2][16 rows of the weight][16 rows of x].
template <int kGroup, int kHigh, int kLow>
inline void group_sums(const unsigned char* weights, const std::int8_t* x, std::int64_t g,
                       std::int32_t* sums) {
  constexpr int kColumns = kGroup < kBlockColumns ? kGroup : kBlockColumns;
  tile_zero<kHigh>();
  tile_zero<kLow>();
#pragma GCC unroll 2
  for (int i = 0; i < kGroup; i += kColumns) {
    const std::int64_t block = (g * kGroup + i) / kBlockColumns;
    const std::int64_t inside = (g * kGroup + i) % kBlockColumns;
    const std::int8_t* from = x + block * 2 * kTileBytes + inside * kSide;
    tile_load<4>(weights + block * kTileBytes + inside, kBlockColumns);
    tile_load<5>(from, 64);
    tile_load<6>(from + kTileBytes, 64);
    tile_dot<kHigh, 4, 5>();
    tile_dot<kLow, 4, 6>();
  }
  tile_store<kHigh>(sums);
  tile_store<kLow>(sums + kSide * kSide);
}

// acc[16 rows of the weight][16 rows of x] of the group's class, as kernels.h states.
inline void add_group(const Panel& panel, const float* x_scale, const float* x_sum, std::int64_t g,
                      const std::int32_t* sums, float* acc) {
  const __m512 x_scales = _mm512_load_ps(x_scale + g * kSide);
  const __m512 x_sums = _mm512_load_ps(x_sum + g * kSide);
  const float* scales = panel.scales + g * kSide;
  const float* biases = panel.biases + g * kSide;
#pragma GCC unroll 16
  for (int r = 0; r < kSide; ++r) {
    const __m512i high = _mm512_load_si512(sums + r * kSide);
    const __m512i low = _mm512_load_si512(sums + (kSide + r) * kSide);
    const __m512 h = _mm512_cvtepi32_ps(_mm512_add_epi32(_mm512_slli_epi32(high, 7), low));
    __m512 total = _mm512_load_ps(acc + r * kSide);
    total = _mm512_fmadd_ps(_mm512_mul_ps(_mm512_set1_ps(scales[r]), x_scales), h, total);
    total = _mm512_fmadd_ps(_mm512_set1_ps(biases[r]), x_sums, total);
    _mm512_store_ps(acc + r * kSide, total);
  }
}

// One panel times one tile of x. `next`: the weights to prefetch meanwhile, or null.
template <int kGroup>
void tile_product(const QuantArgs& a, const Panel& panel, std::int64_t row, int rows,
                  std::int64_t tile, const unsigned char* next) {
  const std::int8_t* x = a.q_tiles + tile * round_up(a.groups * kGroup, kBlockColumns) * 2 * kSide;
  const float* x_scale = a.x_scale + tile * a.groups * kSide;
  const float* x_sum = a.x_sum + tile * a.groups * kSide;
  alignas(64) float acc[kChunkGroups][kSide * kSide];
  alignas(64) std::int32_t sums[2][2 * kSide * kSide];
  __builtin_memset(acc, 0, sizeof acc);
  const std::int64_t share = kSide * kGroup * a.bits / 8;

  // The tiles work on one group while the vectors add up the one before.
  group_sums<kGroup, 0, 1>(panel.tiles, x, 0, sums[0]);
  for (std::int64_t g = 1; g <= a.groups; ++g) {
    if (g < a.groups) {
      if (g % 2 != 0) {
        group_sums<kGroup, 2, 3>(panel.tiles, x, g, sums[1]);
      } else {
        group_sums<kGroup, 0, 1>(panel.tiles, x, g, sums[0]);
      }
    }
    if (next != nullptr) {
      for (std::int64_t byte = 0; byte < share; byte += 64) {
        V::prefetch(next + (g - 1) * share + byte);
      }
    }
    add_group(panel, x_scale, x_sum, g - 1, sums[(g - 1) % 2], acc[(g - 1) % kChunkGroups]);
  }

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

template <int kGroup>
void quant_group(const QuantArgs& a) {
  const PanelSizes sizes(a);
  const std::int64_t tiles = (a.x_rows + kSide - 1) / kSide;
  const std::int64_t panels = (a.rows + kSide - 1) / kSide;
  const auto rows_of = [&](std::int64_t panel) {
    const std::int64_t left = a.rows - panel * kSide;
    return static_cast<int>(left < kSide ? left : kSide);
  };
  configure_tiles(kGroup);
  if (tiles == 1) {
    const Panel panel = sizes.at(a.scratch, 0);
    for (std::int64_t p = 0; p < panels; ++p) {
      unpack_panel(a, p * kSide, rows_of(p), panel);
      tile_product<kGroup>(a, panel, p * kSide, rows_of(p), 0,
                           a.weight + (p + 1) * kSide * a.weight_stride);
    }
  } else {
    // A tile of x stays in the second cache for all panels of the call.
    for (std::int64_t p = 0; p < panels; ++p) {
      unpack_panel(a, p * kSide, rows_of(p), sizes.at(a.scratch, p));
    }
    for (std::int64_t tile = 0; tile < tiles; ++tile) {
      for (std::int64_t p = 0; p < panels; ++p) {
        tile_product<kGroup>(a, sizes.at(a.scratch, p), p * kSide, rows_of(p), tile, nullptr);
      }
    }
  }
  _tile_release();
}

void quant_tiles(const QuantArgs& a) {
  switch (a.group_size) {
    case 32: return quant_group<32>(a);
    case 64: return quant_group<64>(a);
    default: return quant_group<128>(a);
  }
}

std::size_t tile_scratch(const QuantArgs& a) {
  const std::int64_t panels = a.x_rows <= kSide ? 1 : (a.rows + kSide - 1) / kSide;
  return static_cast<std::size_t>(panels * PanelSizes(a).bytes());
}

}  // namespace

const TileKernels kAmxTiles = {pack_tile, quant_tiles, tile_scratch};

}  // namespace bobby::cpu
