// How x and the weights lie for amx_tiles.cpp, and how they get there. Included by it alone: all of
// it is compiled for its instruction set.

#pragma once

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

}  // namespace
}  // namespace bobby::cpu
