// The kernels, written once over a policy V of sixteen-lane vectors and included by one translation
// unit for each instruction set, after V. Everything is in an unnamed namespace and calls nothing
// inline from outside (builtins only), so that no code compiled for a larger instruction set can
// be picked by the linker for a smaller one.
//
// V offers: I32 and F32 (16 lanes), Words (32 words of 16 bits), and
//   zero_i, zero_f, load_words(bytes), spread<bits>(bytes): 32 values of 3, 5 or 6 bits,
//   field<bits, i>(words), dot<lanes>(acc, words, x): acc + products, each product in a lane of its
//   own group, reduce<lanes>(I32[lanes]): sums of `lanes` adjacent lanes = sixteen sums in order,
//   to_float, mul, load_f(float*), and what dense_body.h wants;
//   with BOBBY_MASKED_LOADS also load_words_part(bytes, count) and load_as_part<type>(bytes,
//   count), which read `count` and no more;
//   with BOBBY_BYTE_WORDS byte_field<bits, i>(words) and dot_bytes(acc, words, x): 64 products of
//   bytes, four to a lane.

#include "backends/cpu/linear/kernels.h"
#include "backends/cpu/linear/quantize_group.h"
#include "backends/cpu/linear/unroll.h"

namespace bobby::cpu {
namespace {

constexpr int kWords = 32;

// ---- Packing activations --------------------------------------------------------------------

// Word: std::int16_t or std::int8_t.
template <int kFieldBits, class Word>
void pack_row(const PackArgs& a) {
  constexpr int kBlockWords = 64 / sizeof(Word);
  constexpr int kFields = 8 * sizeof(Word) / kFieldBits;
  constexpr int kBlockColumns = kBlockWords * kFields;
  const int group_size = a.layout.group_size;
  const std::int64_t groups = a.cols / group_size;
  const std::int64_t padded = (groups + kChunkGroups - 1) / kChunkGroups * kChunkGroups;
  Word* const out = static_cast<Word*>(a.q);
  // Clear from the block that the last group may share with padding.
  const std::int64_t clear_from = a.cols / kBlockColumns * kBlockColumns;
  __builtin_memset(out + clear_from, 0, (padded * group_size - clear_from) * sizeof *out);
  for (std::int64_t g = 0; g < groups; ++g) {
    const float* x = a.x + g * group_size;
    alignas(64) std::int16_t q[128];
    const GroupQuantizer quantizer = group_quantizer(x, group_size, static_cast<float>(a.level));
    std::int32_t sum = 0;
    if (quantizer.inverse == 0.0f) {
      __builtin_memset(q, 0, sizeof q);
    } else {
      sum = quantize_group(x, group_size, quantizer.inverse, q);
    }
    a.scale[g] = quantizer.scale;
    a.sum[g] = quantizer.scale * static_cast<float>(sum);
    for (int i = 0; i < group_size; i += kFields) {
      const std::int64_t column = g * group_size + i;
      const std::int64_t word = column % kBlockColumns / kFields;
      Word* block = out + column / kBlockColumns * kBlockColumns;
      for (int f = 0; f < kFields; ++f) {
        block[f * kBlockWords + word] = static_cast<Word>(q[i + f]);
      }
    }
  }
  for (std::int64_t g = groups; g < padded; ++g) a.scale[g] = a.sum[g] = 0.0f;
}

void pack(const PackArgs& a) {
  if (a.layout.word_bits == 8) {
    switch (a.layout.field_bits) {
      case 2: return pack_row<2, std::int8_t>(a);
      case 4: return pack_row<4, std::int8_t>(a);
      default: return pack_row<8, std::int8_t>(a);
    }
  }
  switch (a.layout.field_bits) {
    case 2: return pack_row<2, std::int16_t>(a);
    case 4: return pack_row<4, std::int16_t>(a);
    case 8: return pack_row<8, std::int16_t>(a);
    default: return pack_row<16, std::int16_t>(a);
  }
}

// ---- Quantised products ---------------------------------------------------------------------

// How the fields of 64 bytes of weights meet x: as 32 words of 16 bits or as 64 bytes. Fields of
// Words that a format is cut into stand in x one after the other, all first fields of a block, then
// all second ones.
struct ShortWords {
  using X = std::int16_t;
  static constexpr int kPerLane = 2;
  template <int kBits>
  static constexpr int kFields = 16 / kBits;
  template <int kBits, int kIndex>
  static V::Words field(V::Words words) {
    return V::template field<kBits, kIndex>(words);
  }
  template <int kLanes>
  static V::I32 dot(V::I32 acc, V::Words words, const X* x) {
    return V::template dot<kLanes>(acc, words, x);
  }
#ifdef BOBBY_PANELS
  static V::I32 dot_lane(V::I32 acc, V::Words words, const X* x) {
    return V::dot_pair(acc, words, x);
  }
#endif
};
#ifdef BOBBY_BYTE_WORDS
struct ByteWords {
  using X = std::int8_t;
  static constexpr int kPerLane = 4;
  template <int kBits>
  static constexpr int kFields = 8 / kBits;
  template <int kBits, int kIndex>
  static V::Words field(V::Words words) {
    return V::template byte_field<kBits, kIndex>(words);
  }
  template <int kLanes>
  static V::I32 dot(V::I32 acc, V::Words words, const X* x) {
    return V::dot_bytes(acc, words, x);
  }
  static V::I32 dot_lane(V::I32 acc, V::Words words, const X* x) {
    return V::dot_quad(acc, words, x);
  }
};
#endif

// The shape of one chunk of 16 groups. A block is what fills 32 words: 64 bytes that are cut into
// fields, or 32 values of 3, 5 or 6 bits that are spread.
template <int kBits, int kGroup>
struct Chunk {
  static constexpr bool kSpread = 16 % kBits != 0;
  static constexpr int kFieldBits = kSpread ? 16 : kBits;
  static constexpr int kFields = 16 / kFieldBits;
  static constexpr int kBlockColumns = kWords * kFields;
  static constexpr int kBlockBytes = kBlockColumns * kBits / 8;
  static constexpr int kLanes = kGroup * kFieldBits / 32;  // 32-bit lanes that a group covers
  static constexpr int kVectors = kLanes < 16 ? kLanes : 16;
  static constexpr int kMerged = kLanes / kVectors;  // blocks that belong to one group, if several
  static constexpr int kBlocks = kVectors * kMerged;
  static constexpr int kColumns = kChunkGroups * kGroup;
  static constexpr int kBytes = kBlocks * kBlockBytes;
};

// Copies `bytes`, a multiple of kUnit. A call of memcpy would cost more than the whole copy, and
// the barrier keeps the compiler from making one.
template <int kUnit>
inline void copy_units(unsigned char* to, const unsigned char* from, int bytes) {
  for (int i = 0; i < bytes; i += kUnit) {
    __builtin_memcpy(to + i, from + i, kUnit);
    asm volatile("" ::: "memory");
  }
}

template <int kBits>
inline V::Words load_block(const unsigned char* bytes) {
  if constexpr (16 % kBits != 0) {
    return V::template spread<kBits>(bytes);
  } else {
    return V::load_words(bytes);
  }
}

// As load_block with zeros after `count` bytes: nothing past the row is read.
template <int kBits>
inline V::Words load_part(const unsigned char* bytes, int count) {
  constexpr int kBlockBytes = 16 % kBits != 0 ? 4 * kBits : 64;
  if (count >= kBlockBytes) return load_block<kBits>(bytes);
#ifdef BOBBY_MASKED_LOADS
  if constexpr (16 % kBits == 0) return V::load_words_part(bytes, count);
#endif
  alignas(64) unsigned char copy[64] = {};
  copy_units<4>(copy, bytes, count);
  return load_block<kBits>(copy);
}

template <class W, class C, int kField = 0>
inline V::I32 dot_block(V::I32 acc, V::Words words, const typename W::X* q) {
  acc = W::template dot<C::kVectors>(acc, W::template field<C::kFieldBits, kField>(words),
                                     q + kField * 16 * W::kPerLane);
  if constexpr (kField + 1 < W::template kFields<C::kFieldBits>) {
    return dot_block<W, C, kField + 1>(acc, words, q);
  } else {
    return acc;
  }
}

// H of the chunk's groups, for kRows rows of q. `bytes`: of weights, fewer than kBytes in the last
// chunk of a row if kPart.
template <int kBits, int kGroup, class W, int kRows, bool kPart>
inline void chunk_sums(const unsigned char* weight, int bytes, const typename W::X* q,
                       std::int64_t q_stride, V::I32* sums) {
  using C = Chunk<kBits, kGroup>;
  V::I32 partial[kRows][C::kVectors];
  BOBBY_UNROLL(16)
  for (int v = 0; v < C::kVectors; ++v) {
    for (int m = 0; m < kRows; ++m) partial[m][v] = V::zero_i();
    BOBBY_UNROLL(4)
    for (int j = 0; j < C::kMerged; ++j) {
      const int block = v * C::kMerged + j;
      const unsigned char* from = weight + block * C::kBlockBytes;
      V::Words words;
      if constexpr (kPart) {
        const int left = bytes - block * C::kBlockBytes;
        if (left <= 0) break;
        words = load_part<kBits>(from, left);
      } else {
        words = load_block<kBits>(from);
      }
      BOBBY_UNROLL(8)
      for (int m = 0; m < kRows; ++m) {
        partial[m][v] =
            dot_block<W, C>(partial[m][v], words, q + m * q_stride + block * C::kBlockColumns);
      }
    }
  }
  for (int m = 0; m < kRows; ++m) sums[m] = V::template reduce<C::kVectors>(partial[m]);
}

inline V::F32 load_scales(const unsigned char* bytes, int type) {
  if (type == kBF16) return V::template load_as<kBF16>(bytes);
  if (type == kF16) return V::template load_as<kF16>(bytes);
  return V::template load_as<kF32>(bytes);
}

// The first `count` of them, zeros after.
inline V::F32 load_scales_part(const unsigned char* bytes, int type, int count) {
#ifdef BOBBY_MASKED_LOADS
  if (type == kBF16) return V::template load_as_part<kBF16>(bytes, count);
  if (type == kF16) return V::template load_as_part<kF16>(bytes, count);
  return V::template load_as_part<kF32>(bytes, count);
#else
  alignas(64) unsigned char copy[kChunkGroups * 4] = {};
  copy_units<2>(copy, bytes, count * (type == kF32 ? 4 : 2));
  return load_scales(copy, type);
#endif
}

template <int kRows>
inline void accumulate(const QuantArgs& a, V::F32 scale, V::F32 bias, const float* x_scale,
                       const float* x_sum, const V::I32* sums, V::F32* acc) {
  BOBBY_UNROLL(8)
  for (int m = 0; m < kRows; ++m) {
    const std::int64_t row = m * a.padded_groups;
    acc[m] = V::fma(V::mul(scale, V::load_f(x_scale + row)), V::to_float(sums[m]), acc[m]);
    acc[m] = V::fma(bias, V::load_f(x_sum + row), acc[m]);
  }
}

// One weight row with kRows rows of x, as kernels.h says.
template <int kBits, int kGroup, class W, int kRows>
inline void row_product(const QuantArgs& a, std::int64_t row, std::int64_t x_row) {
  using C = Chunk<kBits, kGroup>;
  const unsigned char* weight = a.weight + row * a.weight_stride;
  const unsigned char* scales = a.scales + row * a.scale_stride;
  const unsigned char* biases = a.biases + row * a.scale_stride;
  const std::int64_t q_stride = a.padded_groups * kGroup;
  const auto* q = static_cast<const typename W::X*>(a.q) + x_row * q_stride;
  const float* x_scale = a.x_scale + x_row * a.padded_groups;
  const float* x_sum = a.x_sum + x_row * a.padded_groups;
  const std::size_t scale_bytes = a.scale_type == kF32 ? 4 : 2;

  V::F32 acc[kRows];
  for (int m = 0; m < kRows; ++m) acc[m] = V::zero_f();
  V::I32 sums[kRows];
  std::int64_t left = a.groups;
  for (; left >= kChunkGroups; left -= kChunkGroups) {
    chunk_sums<kBits, kGroup, W, kRows, false>(weight, C::kBytes, q, q_stride, sums);
    accumulate<kRows>(a, load_scales(scales, a.scale_type), load_scales(biases, a.scale_type),
                      x_scale, x_sum, sums, acc);
    weight += C::kBytes;
    scales += kChunkGroups * scale_bytes;
    biases += kChunkGroups * scale_bytes;
    q += C::kColumns;
    x_scale += kChunkGroups;
    x_sum += kChunkGroups;
  }
  if (left > 0) {  // fewer than 16 groups
    const int groups = static_cast<int>(left);
    chunk_sums<kBits, kGroup, W, kRows, true>(weight, groups * kGroup * kBits / 8, q, q_stride,
                                              sums);
    accumulate<kRows>(a, load_scales_part(scales, a.scale_type, groups),
                      load_scales_part(biases, a.scale_type, groups), x_scale, x_sum, sums, acc);
  }
  for (int m = 0; m < kRows; ++m) {
    a.out[(x_row + m) * a.out_stride + row] = V::fold(acc[m]);
  }
}

}  // namespace
}  // namespace bobby::cpu

#ifdef BOBBY_PANELS
#include "backends/cpu/linear/panel_body.h"
#endif

namespace bobby::cpu {
namespace {

// Rows of the weight one after the other.
template <int kBits, int kGroup, class W>
void row_products(const QuantArgs& a) {
#ifdef BOBBY_PANELS
  constexpr int kX = kMinPanelX - 1;
#else
  constexpr int kX = 4;
#endif
  std::int64_t m = 0;
  for (; m + kX <= a.x_rows; m += kX) {
    for (std::int64_t row = 0; row < a.rows; ++row) row_product<kBits, kGroup, W, kX>(a, row, m);
  }
  for (; m < a.x_rows; ++m) {
    for (std::int64_t row = 0; row < a.rows; ++row) row_product<kBits, kGroup, W, 1>(a, row, m);
  }
}

template <int kBits, int kGroup, class W>
void products(const QuantArgs& a) {
#ifdef BOBBY_PANELS
  if (a.x_rows >= kMinPanelX) return panel_products<kBits, kGroup, W>(a);
#endif
  row_products<kBits, kGroup, W>(a);
}

// What to do for one format.
struct QuantProduct {
  template <int kBits, int kGroup>
  static void run(const QuantArgs& a) {
#ifdef BOBBY_BYTE_WORDS
    if constexpr (8 % kBits == 0) {
      if (a.bytes) return products<kBits, kGroup, ByteWords>(a);
    }
#endif
    products<kBits, kGroup, ShortWords>(a);
  }
};

struct QuantScratch {
  template <int kBits, int kGroup>
  static std::size_t run([[maybe_unused]] const QuantArgs& a) {
#ifdef BOBBY_PANELS
    if (a.x_rows >= kMinPanelX) return Panel::bytes(a.groups, Chunk<kBits, kGroup>::kLanes);
#endif
    return 0;
  }
};

template <class What, int kBits>
auto for_group_size(const QuantArgs& a) {
  switch (a.group_size) {
    case 32: return What::template run<kBits, 32>(a);
    case 64: return What::template run<kBits, 64>(a);
    default: return What::template run<kBits, 128>(a);
  }
}

template <class What>
auto for_format(const QuantArgs& a) {
  switch (a.bits) {
    case 2: return for_group_size<What, 2>(a);
    case 3: return for_group_size<What, 3>(a);
    case 4: return for_group_size<What, 4>(a);
    case 5: return for_group_size<What, 5>(a);
    case 6: return for_group_size<What, 6>(a);
    default: return for_group_size<What, 8>(a);
  }
}

void quant(const QuantArgs& a) {
  for_format<QuantProduct>(a);
}

std::size_t quant_scratch(const QuantArgs& a) {
  return for_format<QuantScratch>(a);
}

}  // namespace
}  // namespace bobby::cpu

#include "backends/cpu/linear/dense_body.h"
#include "backends/cpu/linear/lora_body.h"
