#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <fmt/format.h>
#include <limits>

#include "tensor/formats/affine.h"
#include "tensor/formats/dense.h"
#include "tensor/formats/levels.h"

namespace bobby {
namespace {

constexpr float kSmallestScale = 1e-7f;
constexpr int kLargestGroup = 128;

struct Range {
  float min;
  float max;
};

/// Both ends of a group's values. Eight running pairs, because a compiler may not reorder one.
Range range_of(const float* x, int group_size) {
  constexpr int kLanes = 8;
  float low[kLanes];
  float high[kLanes];
  std::copy_n(x, kLanes, low);
  std::copy_n(x, kLanes, high);
  for (int i = kLanes; i < group_size; i += kLanes) {
    for (int j = 0; j < kLanes; ++j) {
      low[j] = x[i + j] < low[j] ? x[i + j] : low[j];
      high[j] = x[i + j] > high[j] ? x[i + j] : high[j];
    }
  }
  return {*std::min_element(low, low + kLanes), *std::max_element(high, high + kLanes)};
}

bool all_finite(const float* x, int count) {
  constexpr std::uint32_t kExponent = 0x7f800000u;
  std::uint32_t infinite = 0;
  for (int i = 0; i < count; ++i)
    infinite |= (std::bit_cast<std::uint32_t>(x[i]) & kExponent) == kExponent ? 1u : 0u;
  return infinite == 0;
}

struct ScaleBias {
  float scale;
  float bias;
};

/// The end of larger magnitude becomes a level exactly, and so does zero: the scale is stretched
/// until a whole number of steps lies between them. Counted from the upper end, it is negative.
template <Rounding rounding>
ScaleBias scale_and_bias(Range range, float levels) {
  if (rounding == Rounding::kGpu) range.max = std::max(range.max, 0.0f);
  const bool from_min = std::abs(range.min) > std::abs(range.max);
  const float step = std::max((range.max - range.min) / levels, kSmallestScale);
  const float scale = from_min ? step : -step;
  const float edge = from_min ? range.min : range.max;
  const float zero_level =
      rounding == Rounding::kGpu ? std::round(edge / scale) : std::nearbyint(edge / scale);
  if (zero_level == 0.0f) return {scale, 0.0f};
  return {edge / zero_level, edge};
}

/// q = clamp(round((x - bias) / scale), 0, levels); a NaN (0 / 0, from a scale that underflowed
/// beside a huge bias) is 0.
template <Rounding rounding>
void levels_of(const float* x, int group_size, ScaleBias group, float levels, std::uint8_t* q) {
  constexpr float kRound = 0x1p23f;  // x + 2^23 has no room for a fraction: rounds half to even
  std::int32_t rounded[kLargestGroup];
  for (int i = 0; i < group_size; ++i) {
    float level = (x[i] - group.bias) / group.scale;
    level = level > 0.0f ? level : 0.0f;
    level = level < levels ? level : levels;
    float nearest = (level + kRound) - kRound;
    // The difference is exact. Half to even went down from .5 where away from zero goes up.
    if (rounding == Rounding::kGpu) nearest += level - nearest == 0.5f ? 1.0f : 0.0f;
    rounded[i] = static_cast<std::int32_t>(nearest);
  }
  for (int i = 0; i < group_size; ++i) q[i] = static_cast<std::uint8_t>(rounded[i]);
}

/// One row: x[cols] → levels q[cols], and scales and biases [cols / group_size] before they are
/// narrowed. The first column of a group that has no finite scale, or -1 when all is well.
template <Rounding rounding>
std::int64_t quantize_row(const float* x, std::int64_t cols, const WeightFormat& format,
                          std::uint8_t* q, float* scales, float* biases) {
  const auto levels = static_cast<float>((1 << format.bits) - 1);
  for (std::int64_t begin = 0; begin < cols; begin += format.group_size) {
    if (!all_finite(x + begin, format.group_size)) return begin;
    const Range range = range_of(x + begin, format.group_size);
    if (!std::isfinite(range.max - range.min)) return begin;
    const ScaleBias group = scale_and_bias<rounding>(range, levels);
    levels_of<rounding>(x + begin, format.group_size, group, levels, q + begin);
    *scales++ = group.scale;
    *biases++ = group.bias;
  }
  return -1;
}

Error not_a_number(const WeightView& dense, std::int64_t row, std::int64_t column, int group_size) {
  return {.code = ErrorCode::kNumeric,
          .where = dense.name,
          .problem = fmt::format("row {}, columns {} to {} cannot be quantised", row, column,
                                 column + group_size - 1),
          .expected = "finite values less than 3.4e38 apart",
          .found = "NaN, infinity or a wider range",
          .hint = "the checkpoint is damaged: fetch it again"};
}

/// See RowError; `affine` is the one row that was written, `x` what it was made of.
RowError row_error(const WeightView& affine, const float* x) {
  constexpr std::size_t kSums = 16;
  std::vector<float> back(static_cast<std::size_t>(affine.cols));
  dequantize_row(affine, 0, back.data());
  std::array<double, kSums> error{};
  std::array<double, kSums> weight{};
  RowError made;
  for (std::size_t i = 0; i < back.size(); ++i) {
    const float one = x[i] - back[i];
    error[i % kSums] += static_cast<double>(one) * static_cast<double>(one);
    weight[i % kSums] += static_cast<double>(x[i]) * static_cast<double>(x[i]);
    made.largest = std::max(made.largest, std::abs(one));
  }
  for (std::size_t half = kSums / 2; half > 0; half /= 2)
    for (std::size_t i = 0; i < half; ++i) {
      error[i] += error[i + half];
      weight[i] += weight[i + half];
    }
  made.error = error[0];
  made.weight = weight[0];
  return made;
}

}  // namespace

WeightFormat affine_format(const WeightView& dense, int bits, int group_size) {
  return {.kind = WeightFormat::Kind::kAffine,
          .dtype = dense.format.dtype,
          .bits = bits,
          .group_size = group_size};
}

Result<void> check_quantizable(const WeightView& dense, std::int64_t begin, std::int64_t count,
                               const WeightFormat& format) {
  BOBBY_CHECK(check_format(format, dense.cols, dense.name));
  BOBBY_CHECK(check_format(dense.format, dense.cols, dense.name));
  if (dense.format.kind != WeightFormat::Kind::kDense || format.kind != WeightFormat::Kind::kAffine)
    return fail({.code = ErrorCode::kUsage,
                 .where = dense.name,
                 .problem = "only a dense weight is quantised, and only to an affine format",
                 .found = dense.format.to_string() + " to " + format.to_string()});
  if (dense.format.dtype != format.dtype)
    return fail({.code = ErrorCode::kUsage,
                 .where = dense.name,
                 .problem = "scales and biases take the dtype of the weight",
                 .expected = std::string(dtype_name(dense.format.dtype)),
                 .found = std::string(dtype_name(format.dtype))});
  if (begin < 0 || count < 0 || begin > dense.rows - count)
    return fail({.code = ErrorCode::kUsage,
                 .where = dense.name,
                 .problem = "rows to quantise are not rows of this weight",
                 .expected = fmt::format("within 0 to {}", dense.rows),
                 .found = fmt::format("{} rows from {}", count, begin)});
  return {};
}

Result<void> quantize_rows(const WeightView& dense, std::int64_t begin, std::int64_t count,
                           const WeightFormat& format, Rounding rounding, const AffineRows& out) {
  BOBBY_CHECK(check_quantizable(dense, begin, count, format));
  WeightView target = dense;
  target.format = format;
  const std::size_t weight_bytes = target.weight_row_bytes();
  const std::size_t scales_bytes = target.scales_row_bytes();
  const std::int64_t groups = dense.cols / format.group_size;
  std::vector<float> x(static_cast<std::size_t>(dense.cols));
  std::vector<std::uint8_t> q(x.size());
  std::vector<float> scales(static_cast<std::size_t>(groups));
  std::vector<float> biases(scales.size());
  const auto quantize_one =
      rounding == Rounding::kGpu ? quantize_row<Rounding::kGpu> : quantize_row<Rounding::kCpu>;
  for (std::int64_t i = 0; i < count; ++i) {
    const auto offset = static_cast<std::size_t>(i);
    widen(dense.format.dtype,
          dense.weight + static_cast<std::size_t>(begin + i) * dense.weight_row_bytes(), dense.cols,
          x.data());
    const std::int64_t bad =
        quantize_one(x.data(), dense.cols, format, q.data(), scales.data(), biases.data());
    if (bad >= 0) return fail(not_a_number(dense, begin + i, bad, format.group_size));
    detail::dispatch_bits(format.bits, [&]<int Bits>() {
      detail::pack_levels<Bits>(q.data(), dense.cols, out.weight + offset * weight_bytes);
    });
    narrow(format.dtype, scales.data(), groups, out.scales + offset * scales_bytes);
    narrow(format.dtype, biases.data(), groups, out.biases + offset * scales_bytes);
    if (out.errors == nullptr) continue;
    target.rows = 1;
    target.weight = out.weight + offset * weight_bytes;
    target.scales = out.scales + offset * scales_bytes;
    target.biases = out.biases + offset * scales_bytes;
    out.errors[i] = row_error(target, x.data());
  }
  return {};
}

Result<QuantizedWeight> quantize(const WeightView& dense, int bits, int group_size,
                                 Rounding rounding) {
  const WeightFormat format = affine_format(dense, bits, group_size);
  BOBBY_CHECK(check_format(format, dense.cols, dense.name));
  QuantizedWeight result{.name = dense.name,
                         .format = format,
                         .rows = dense.rows,
                         .cols = dense.cols,
                         .weight = {},
                         .scales = {},
                         .biases = {}};
  const auto rows = static_cast<std::size_t>(std::max<std::int64_t>(dense.rows, 0));
  result.weight.resize(rows * result.view().weight_row_bytes());
  result.scales.resize(rows * result.view().scales_row_bytes());
  result.biases.resize(result.scales.size());
  BOBBY_CHECK(quantize_rows(dense, 0, dense.rows, format, rounding,
                            {.weight = result.weight.data(),
                             .scales = result.scales.data(),
                             .biases = result.biases.data()}));
  return result;
}

}  // namespace bobby
