// Quantised products on the tiles of AMX: up to sixteen rows of x times sixteen rows of the weight
// at a time, the same bits as kernels.h states. A q15 value is 128 * high + low, both of eight
// bits, so that H = 128 * H_high + H_low, each exact in int32: two tile products a group, after
// which one vector holds H of one row of x for sixteen rows of the weight. An int8 value is low
// alone. What a product costs goes with the rows of x: they are the rows of the tiles that are
// loaded and stored.

#include <immintrin.h>

#include "backends/cpu/linear/avx512_vectors.h"
#include "backends/cpu/linear/kernels.h"
#include "backends/cpu/linear/quantize_group.h"

namespace bobby::cpu {
namespace {

constexpr int kSide = 16;          // rows of the weight and rows of x of one tile product
constexpr int kBlockColumns = 64;  // columns of one stored tile

constexpr std::int64_t round_up(std::int64_t value, std::int64_t unit) {
  return (value + unit - 1) / unit * unit;
}

// ---- Order ----------------------------------------------------------------------------------

// Sums run apart for each class, groups g, g + 16, g + 32, ...; so that a class's sums can stay in
// registers, its groups stand together: those of x one after the other, class after class, and
// weights in strips, the runs of kWide columns that hold the same classes.
constexpr int kWide = 128;

/// Where class c's groups begin among `groups` in the order of classes; at kChunkGroups, their end.
constexpr std::int64_t class_begin(std::int64_t groups, std::int64_t c) {
  const std::int64_t more = groups % kChunkGroups;
  return c * (groups / kChunkGroups) + (c < more ? c : more);
}

template <int kGroup>
constexpr int kStrips = kChunkGroups* kGroup / kWide;
template <int kGroup>
constexpr int kStripClasses = kWide / kGroup;

/// The strips of a row of `groups` groups: strip s has wide(s) runs, s, s + kStrips, ...
template <int kGroup>
struct Strips {
  explicit Strips(std::int64_t groups) : all((groups * kGroup + kWide - 1) / kWide) {}
  std::int64_t wide(std::int64_t s) const {
    return all / kStrips<kGroup> + (s < all % kStrips<kGroup> ? 1 : 0);
  }
  std::int64_t all;
};

// ---- Packing activations --------------------------------------------------------------------

// 32 and 32 words to 64 bytes, each word's lower half.
inline __m512i bytes_of_words(__m512i first, __m512i second) {
  return _mm512_inserti64x4(_mm512_castsi256_si512(_mm512_cvtepi16_epi8(first)),
                            _mm512_cvtepi16_epi8(second), 1);
}

// The even bytes of 64, then the odd ones: how tiles order the columns of a block, so that the low
// halves of packed 4-bit values come first.
inline __m512i evens_first(__m512i bytes) {
  return bytes_of_words(bytes, _mm512_srli_epi16(bytes, 8));
}

// A tile of x: the groups in the order of classes, of each its blocks of 64 columns or fewer, of
// each the high parts, then the low parts, [16 rows][columns] with the even columns first. Rows
// that x does not have are left as they are, but for the scales of one that rounds them up to even.
void pack_tile(const TilePackArgs& a) {
  const bool int8 = a.level == kInt8Level;
  const int parts = int8 ? 1 : 2;
  const std::int64_t groups = a.cols / a.group_size;
  const int columns = a.group_size < kBlockColumns ? a.group_size : kBlockColumns;
  const auto stored = static_cast<__mmask64>(columns == kBlockColumns ? ~0ull : 0xffffffffull);
  alignas(64) std::int16_t q[kWide] = {};
  for (std::int64_t g = a.group_begin; g < a.group_end; ++g) {
    const std::int64_t place = class_begin(groups, g % kChunkGroups) + g / kChunkGroups;
    if (a.rows % 2 != 0) a.scale[g * kSide + a.rows] = a.sum[g * kSide + a.rows] = 0.0f;
    std::int8_t* group = a.q + place * a.group_size * kSide * parts;
    for (std::int64_t r = 0; r < a.rows; ++r) {
      const float* x = a.x + r * a.x_stride + g * a.group_size;
      const GroupQuantizer quantizer =
          group_quantizer(x, a.group_size, static_cast<float>(a.level));
      std::int32_t sum = 0;
      if (quantizer.inverse != 0.0f) {
        sum = quantize_group(x, a.group_size, quantizer.inverse, q);
      } else {
        __builtin_memset(q, 0, sizeof q);
      }
      a.scale[g * kSide + r] = quantizer.scale;
      a.sum[g * kSide + r] = quantizer.scale * static_cast<float>(sum);
      for (int i = 0; i < a.group_size; i += columns) {
        std::int8_t* out = group + i * kSide * parts + r * columns;
        const __m512i first = _mm512_load_si512(q + i);
        const __m512i second =
            columns > 32 ? _mm512_load_si512(q + i + 32) : _mm512_setzero_si512();
        const auto put = [&](__m512i bytes) {
          __m512i ordered = evens_first(bytes);
          if (columns == 32) {  // of each half of the ordered bytes the first sixteen
            ordered = _mm512_permutexvar_epi64(_mm512_setr_epi64(0, 1, 4, 5, 2, 3, 6, 7), ordered);
          }
          _mm512_mask_storeu_epi8(out, stored, ordered);
        };
        if (!int8) {
          put(bytes_of_words(_mm512_srai_epi16(first, 7), _mm512_srai_epi16(second, 7)));
          out += std::int64_t{columns} * kSide;
        }
        const __m512i mask = _mm512_set1_epi16(int8 ? -1 : 127);
        put(bytes_of_words(_mm512_and_si512(first, mask), _mm512_and_si512(second, mask)));
      }
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

// Sixteen rows of the weight: the groups of one strip, or of one strip after the other, class after
// class, of each the tiles [columns / 4][16 rows] of four bytes, the even columns of a block first;
// and scales and biases [groups][16] in fp32.
struct Panel {
  unsigned char* tiles;
  float* scales;
  float* biases;
};

struct PanelSizes {
  /// `wide`: runs of kWide columns that the tiles hold.
  PanelSizes(std::int64_t wide, std::int64_t groups)
      : tiles(wide * kWide * kSide), scales(round_up(groups, kChunkGroups) * kSide * 4) {}
  std::int64_t bytes() const { return tiles + 2 * scales; }
  Panel at(void* scratch, std::int64_t index) const {
    auto* tiles_at = static_cast<unsigned char*>(scratch) + index * bytes();
    auto* scales_at = reinterpret_cast<float*>(tiles_at + tiles);
    return {tiles_at, scales_at, scales_at + scales / 4};
  }
  std::int64_t tiles;
  std::int64_t scales;
};

// Four columns of sixteen rows: line d of the run's columns 8 * d, 8 * d + 2, .. + 6 (low) or of
// 8 * d + 1, .. (high), to its place in the tiles of the run's groups, class_stride bytes apart.
template <int kGroup>
inline void store_line(__m512i line, int d, bool high, std::int64_t class_stride,
                       unsigned char* run) {
  constexpr int kColumns = kGroup < kBlockColumns ? kGroup : kBlockColumns;
  const int block = d * 8 / kColumns;  // of the run
  const int group = d * 8 / kGroup;
  const int in_group = block - group * kGroup / kColumns;
  const int row = d % (kColumns / 8) + (high ? kColumns / 8 : 0);
  _mm512_store_si512(run + group * class_stride + in_group * kColumns * kSide + row * 64, line);
}

// One run of sixteen rows, `weight_stride` bytes apart.
template <int kBits, int kGroup>
inline void unpack_run(const unsigned char* bytes, std::size_t weight_stride,
                       std::int64_t class_stride, unsigned char* run) {
  __m512i rows[kSide];
  if constexpr (kBits == 4) {
#pragma GCC unroll 16
    for (int r = 0; r < kSide; ++r) rows[r] = _mm512_loadu_si512(bytes + r * weight_stride);
    V::transpose_to(rows, [&](int d, __m512i lines) {
      const __m512i mask = _mm512_set1_epi8(15);
      store_line<kGroup>(_mm512_and_si512(lines, mask), d, false, class_stride, run);
      store_line<kGroup>(_mm512_and_si512(_mm512_srli_epi16(lines, 4), mask), d, true, class_stride,
                         run);
    });
  } else {
    for (int half = 0; half < 2; ++half) {
      for (int r = 0; r < kSide; ++r) {
        rows[r] = evens_first(
            unpack_block<kBits>(bytes + r * weight_stride + half * kBlockColumns * kBits / 8));
      }
      V::transpose_to(rows, [&](int d, __m512i lines) {
        store_line<kGroup>(lines, half * 8 + d % 8, d >= 8, class_stride, run);
      });
    }
  }
}

// The runs of one strip of rows [row, row + rows) to `tiles`.
template <int kBits, int kGroup>
void unpack_strip_of(const QuantArgs& a, std::int64_t row, int rows, std::int64_t strip,
                     unsigned char* tiles) {
  constexpr std::int64_t kRunBytes = kWide * kBits / 8;
  const std::int64_t wide = Strips<kGroup>(a.groups).wide(strip);
  const std::int64_t class_stride = wide * kGroup * kSide;
  const std::int64_t row_bytes = a.groups * kGroup * kBits / 8;
  for (std::int64_t i = 0; i < wide; ++i) {
    const std::int64_t from = (strip + i * kStrips<kGroup>)*kRunBytes;
    const unsigned char* bytes = a.weight + row * a.weight_stride + from;
    unsigned char* run = tiles + i * kGroup * kSide;
    if (rows == kSide && from + kRunBytes <= row_bytes) {
      unpack_run<kBits, kGroup>(bytes, a.weight_stride, class_stride, run);
      continue;
    }
    alignas(64) unsigned char copy[kSide][kRunBytes] = {};  // nothing past the row is read
    const std::int64_t size = row_bytes - from < kRunBytes ? row_bytes - from : kRunBytes;
    for (int r = 0; r < rows; ++r) __builtin_memcpy(copy[r], bytes + r * a.weight_stride, size);
    unpack_run<kBits, kGroup>(copy[0], kRunBytes, class_stride, run);
  }
}

template <int kGroup>
void unpack_strip(const QuantArgs& a, std::int64_t row, int rows, std::int64_t strip,
                  unsigned char* tiles) {
  switch (a.bits) {
    case 2: return unpack_strip_of<2, kGroup>(a, row, rows, strip, tiles);
    case 3: return unpack_strip_of<3, kGroup>(a, row, rows, strip, tiles);
    case 4: return unpack_strip_of<4, kGroup>(a, row, rows, strip, tiles);
    case 5: return unpack_strip_of<5, kGroup>(a, row, rows, strip, tiles);
    case 6: return unpack_strip_of<6, kGroup>(a, row, rows, strip, tiles);
    default: return unpack_strip_of<8, kGroup>(a, row, rows, strip, tiles);
  }
}

inline __m512i load_scales(const unsigned char* bytes, int type) {
  if (type == kBF16) return V::bits(V::load_as<kBF16>(bytes));
  if (type == kF16) return V::bits(V::load_as<kF16>(bytes));
  return V::bits(V::load_as<kF32>(bytes));
}

// Scales (or biases) of rows [row, row + rows), all groups.
void unpack_scales(const QuantArgs& a, const unsigned char* from, std::int64_t row, int rows,
                   float* out) {
  const std::int64_t size = a.scale_type == kF32 ? 4 : 2;
  for (std::int64_t g = 0; g < a.groups; g += kChunkGroups) {
    const std::int64_t groups = a.groups - g < kChunkGroups ? a.groups - g : kChunkGroups;
    __m512i lanes[kSide];
    for (int r = 0; r < kSide; ++r) {
      const unsigned char* bytes = from + (row + r) * a.scale_stride + g * size;
      if (r < rows && groups == kChunkGroups) {
        lanes[r] = load_scales(bytes, a.scale_type);
        continue;
      }
      alignas(64) unsigned char copy[kChunkGroups * 4] = {};  // nothing past the row is read
      if (r < rows) __builtin_memcpy(copy, bytes, groups * size);
      lanes[r] = load_scales(copy, a.scale_type);
    }
    V::transpose(lanes, reinterpret_cast<std::uint32_t*>(out + g * kSide));
  }
}

void unpack_scales(const QuantArgs& a, std::int64_t row, int rows, const Panel& panel) {
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

const TileKernels kAmxTiles = {pack_tile, quant_tiles, tile_scratch};

}  // namespace bobby::cpu
