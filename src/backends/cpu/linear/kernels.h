#pragma once

// The table of kernels that each instruction set fills. Plain data only: this header is included by
// translation units compiled for different instruction sets, so nothing inline may stand in it.
//
// The arithmetic, the same bits on every instruction set, thread count and number of rows:
//
//  Activations. For each group of the weight's group_size columns: x_scale = max|x| / level,
//  q = x * (level / max|x|) rounded to the nearest even integer, x_sum = x_scale * sum(q); level is
//  16383 for q15 and 127 for int8. A
//  maximum below 2^-100 counts as 2^-100; a NaN or an infinity makes x_scale NaN and q 0.
//
//  Quantised product of one weight row with one row of x. H_g = sum(weight_q * q) over group g,
//  exact in int32. Sixteen fp32 accumulators start at +0; for g = 0, 1, 2, ...
//      acc[g mod 16] = fma(bias_g, x_sum_g, fma(scale_g * x_scale_g, float(H_g), acc[g mod 16]))
//  then acc[i] += acc[i + 8] for i < 8, acc[i] += acc[i + 4] for i < 4, and so on to acc[0].
//
//  Dense product: 32 accumulators, acc[k mod 32] = fma(weight_k, x_k, acc[k mod 32]), folded the
//  same way from 32. LoRA's B: 8 accumulators, acc[r mod 8] = fma(B_r, z_r, acc[r mod 8]), folded
//  from 8.

#include <cstddef>
#include <cstdint>

namespace bobby::cpu {

/// Groups that one vector of sums covers; packed activations are padded with zeros to a multiple.
inline constexpr int kChunkGroups = 16;

/// How the columns of packed activations are ordered: as the fields of 16-bit words that the kernel
/// cuts a block of 64 bytes of weights into. Word i of a block holds columns i*F .. i*F+F-1 of it,
/// F = 16 / field_bits; all first fields of a block stand first, then all second fields, ...
/// Widths that do not divide 16 (3, 5, 6) are spread into words beforehand: field_bits = 16.
///
/// With word_bits 8 the words are bytes, of which a block has 64, and F = 8 / field_bits.
/// NEON's kernels have an order of their own in the same memory: see neon_pack.h.
struct PackLayout {
  int field_bits = 16;  ///< 2, 4, 8 or 16; at most word_bits
  int word_bits = 16;   ///< 16 or 8
  int group_size = 64;  ///< 32, 64 or 128
};

inline constexpr int kQ15Level = 16383;
inline constexpr int kInt8Level = 127;

/// One row of x to quantise.
struct PackArgs {
  const float* x = nullptr;  ///< [cols]
  std::int64_t cols = 0;     ///< a multiple of group_size
  PackLayout layout;
  int level = kQ15Level;   ///< kInt8Level when words are bytes
  void* q = nullptr;       ///< int16 or int8 [padded groups * group_size], 64-byte aligned
  float* scale = nullptr;  ///< [padded groups]
  float* sum = nullptr;    ///< [padded groups]
};

/// Rows of x of one tile of packed activations.
inline constexpr int kTileX = 16;

/// At most kTileX rows of x to quantise together, in an order of TileKernels' own.
struct TilePackArgs {
  const float* x = nullptr;  ///< [rows, cols], rows x_stride apart
  std::int64_t x_stride = 0;
  std::int64_t rows = 0;
  std::int64_t cols = 0;  ///< a multiple of group_size
  int group_size = 0;
  std::int64_t group_begin = 0;  ///< only groups [group_begin, group_end) are packed
  std::int64_t group_end = 0;
  int level = kQ15Level;     ///< or kInt8Level
  std::int8_t* q = nullptr;  ///< [cols, kTileX] bytes, twice as many for q15; 64-byte aligned
  float* scale = nullptr;    ///< [groups, kTileX], 64-byte aligned
  float* sum = nullptr;      ///< [groups, kTileX], 64-byte aligned
};

/// Rows of a quantised weight times rows of packed activations.
struct QuantArgs {
  const unsigned char* weight = nullptr;  ///< first row; any alignment
  const unsigned char* scales = nullptr;
  const unsigned char* biases = nullptr;
  std::size_t weight_stride = 0;  ///< bytes of a row
  std::size_t scale_stride = 0;
  std::int64_t rows = 0;
  std::int64_t groups = 0;  ///< of a row
  int bits = 0;
  int group_size = 0;
  int scale_type = 0;              ///< kF32, kF16 or kBF16 below
  bool int8 = false;               ///< the level of x is kInt8Level
  const void* q = nullptr;         ///< int16 or int8 [x_rows, padded groups * group_size]
  bool bytes = false;              ///< q is int8, in bytes; only where LinearKernels takes them
  const float* x_scale = nullptr;  ///< [x_rows, padded groups]
  const float* x_sum = nullptr;    ///< [x_rows, padded groups]
  std::int64_t padded_groups = 0;
  const std::int8_t* q_tiles = nullptr;  ///< of TileKernels, instead of q; x_scale and x_sum as
                                         ///< TilePackArgs has them, tile after tile
  std::int64_t x_rows = 0;
  float* out = nullptr;  ///< out[x_row * out_stride + row]
  std::int64_t out_stride = 0;
  void* scratch = nullptr;  ///< of this thread, 64-byte aligned, as large as the table says
};

/// Rows of a dense weight times rows of fp32 activations.
struct DenseArgs {
  const unsigned char* weight = nullptr;  ///< first row; any alignment
  std::size_t weight_stride = 0;
  int element_type = 0;
  std::int64_t rows = 0;
  std::int64_t cols = 0;
  const float* x = nullptr;  ///< [x_rows, cols], rows x_stride apart
  std::int64_t x_stride = 0;
  std::int64_t x_rows = 0;
  float* out = nullptr;  ///< out[x_row * out_stride + row]
  std::int64_t out_stride = 0;
};

/// out[row] = sum over r of b[row, r] * z[r].
struct LoraArgs {
  const float* b = nullptr;  ///< [rows, rank]
  const float* z = nullptr;  ///< [rank]
  std::int64_t rows = 0;
  std::int64_t rank = 0;
  float* out = nullptr;
};

inline constexpr int kF32 = 0;
inline constexpr int kF16 = 1;
inline constexpr int kBF16 = 2;

/// Products with many rows of x, instead of pack and quant: on a processor's matrix unit, or by
/// kernels that want x in another order when its rows are several.
struct TileKernels {
  std::int64_t min_rows = 0;  ///< of x: with fewer, pack and quant of LinearKernels are faster
  void (*pack)(const TilePackArgs&) = nullptr;
  void (*quant)(const QuantArgs&) = nullptr;
  std::size_t (*scratch)(const QuantArgs&) = nullptr;  ///< of x_rows, rows, group_size and groups
};

struct LinearKernels {
  const char* name = nullptr;
  bool bytes = false;  ///< quant takes int8 activations in bytes, for fields of 2, 4 and 8 bits
  void (*pack)(const PackArgs&) = nullptr;
  void (*quant)(const QuantArgs&) = nullptr;
  std::size_t (*quant_scratch)(const QuantArgs&) =
      nullptr;  ///< of x_rows, bits, group_size, groups
  void (*dense)(const DenseArgs&) = nullptr;
  void (*lora)(const LoraArgs&) = nullptr;
};

extern const LinearKernels kPortableKernels;
extern const LinearKernels kAvx2Kernels;        // x86-64: AVX2, FMA, F16C
extern const LinearKernels kAvx512Kernels;      // x86-64: AVX-512 F, BW, VL, DQ
extern const LinearKernels kAvx512VnniKernels;  // x86-64: the same and AVX512-VNNI
extern const TileKernels kAmxTiles;             // x86-64: AMX-INT8 and AVX-512
extern const LinearKernels kNeonKernels;        // aarch64
extern const LinearKernels kNeonDotKernels;     // aarch64: FEAT_DotProd
extern const LinearKernels kNeonI8mmKernels;    // aarch64: FEAT_DotProd, FEAT_I8MM
extern const TileKernels kNeonTiles;
extern const TileKernels kNeonDotTiles;
extern const TileKernels kNeonI8mmTiles;

}  // namespace bobby::cpu
