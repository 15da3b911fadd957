#pragma once

// MLX's affine formats: the plain arithmetic that defines them here and that every kernel is
// checked against. docs/formats/quantization.md has the formats in full.

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "tensor/weight_view.h"

namespace bobby {

inline constexpr std::array<int, 6> kAffineBits = {2, 3, 4, 5, 6, 8};
inline constexpr std::array<int, 3> kAffineGroupSizes = {32, 64, 128};

/// Which of MLX's two quantisers to follow. They differ on exact .5 ties and on groups whose values
/// are all negative, nowhere else.
enum class Rounding : std::uint8_t {
  kGpu,  ///< Metal and CUDA: half away from zero, a group's range always reaches up to 0
  kCpu,  ///< MLX's CPU backend: half to even, the group's true range
};

/// Whether a weight of `cols` columns can be in `format`: a float dtype and, when affine, bits and
/// group_size of the lists above with cols a multiple of group_size. kUnsupported or kMismatch;
/// `name` is what the message names.
Result<void> check_format(const WeightFormat& format, std::int64_t cols, std::string_view name);

/// An affine weight in memory of its own.
struct QuantizedWeight {
  std::string name;
  WeightFormat format;
  std::int64_t rows = 0;
  std::int64_t cols = 0;
  std::vector<std::byte> weight;  ///< [rows, cols * bits / 32] uint32, little-endian
  std::vector<std::byte> scales;  ///< [rows, cols / group_size] of format.dtype
  std::vector<std::byte> biases;  ///< [rows, cols / group_size] of format.dtype

  /// The three arrays as one weight; valid as long as this object.
  WeightView view() const;
};

/// What quantising took from one row: error = fp32(w - w'), with w' as dequantize_row() reads it
/// back. Squares are exact and summed in sixteen doubles, column c in number c mod 16, which are
/// folded (i takes i + 8, then i + 4, 2, 1): the same bits whatever computes them.
struct RowError {
  double error = 0;   ///< the sum of error^2
  double weight = 0;  ///< the sum of w^2
  float largest = 0;  ///< the largest |error|
};

/// Where quantize_rows() writes: the memory of the rows asked for, in QuantizedWeight's layout, at
/// any alignment.
struct AffineRows {
  std::byte* weight = nullptr;
  std::byte* scales = nullptr;
  std::byte* biases = nullptr;
  RowError* errors = nullptr;  ///< one a row; null: not wanted
};

/// The affine format of `bits` and `group_size` that a weight of `dense`'s dtype is quantised to.
WeightFormat affine_format(const WeightView& dense, int bits, int group_size);

/// Whether rows [begin, begin + count) of `dense` can be quantised to `format`, whatever numbers
/// they hold; errors as of quantize_rows().
Result<void> check_quantizable(const WeightView& dense, std::int64_t begin, std::int64_t count,
                               const WeightFormat& format);

/// Quantises rows [begin, begin + count) of a dense weight, as mx.quantize does, bit for bit. Rows
/// do not depend on each other, so that threads may share a weight out by rows.
/// kUnsupported, kMismatch: see check_format(); kUsage: `dense` is not dense or the rows are not
/// its own; kNumeric: NaN, infinity, or a group whose range is no fp32 number (where MLX would
/// write scales that dequantise to NaN).
Result<void> quantize_rows(const WeightView& dense, std::int64_t begin, std::int64_t count,
                           const WeightFormat& format, Rounding rounding, const AffineRows& out);

/// quantize_rows(), or what computes the same bits faster.
using QuantizeRows = std::function<Result<void>(const WeightView& dense, std::int64_t begin,
                                                std::int64_t count, const WeightFormat& format,
                                                Rounding rounding, const AffineRows& out)>;

/// Quantises a whole dense weight. Errors as for quantize_rows().
Result<QuantizedWeight> quantize(const WeightView& dense, int bits, int group_size,
                                 Rounding rounding = Rounding::kGpu);

/// The levels q of one row of an affine weight, one a byte: out[cols].
/// Precondition here and below: check_format() passes and 0 <= row < rows.
void unpack_levels(const WeightView& view, std::int64_t row, std::uint8_t* out);

/// One row in fp32: out[cols]. Dense: widened, exact. Affine: fp32(fp32(scale * q) + bias). With
/// fp16 and bf16 scales the product is exact, so that is scale * q + bias rounded once; with fp32
/// scales it is what mx.dequantize gives, bit for bit.
void dequantize_row(const WeightView& view, std::int64_t row, float* out);

/// One row as MLX's CPU mx.dequantize gives it, bit for bit: T(T(scale * q) + bias), both roundings
/// in T = format.dtype. out: cols elements of T, at any alignment. Dense rows are copied.
void dequantize_row_mlx(const WeightView& view, std::int64_t row, std::byte* out);

/// out = x W^T with x [m, cols] and out [m, rows] when `transpose`, otherwise out = x W with
/// x [m, rows] and out [m, cols]. Weights are those of dequantize_row(); products and sums are
/// fp32, taken one after the other along the reduced dimension. Dense weights are taken as well.
/// kUsage: x or out are not of the size that m and the weight ask for; else as check_format().
Result<void> quantized_matmul(std::span<const float> x, std::int64_t m, const WeightView& w,
                              bool transpose, std::span<float> out);

}  // namespace bobby
