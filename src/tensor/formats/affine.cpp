#include "tensor/formats/affine.h"

#include <algorithm>
#include <cstring>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include "tensor/formats/dense.h"
#include "tensor/formats/levels.h"

namespace bobby {
namespace {

/// The parts of one row of an affine weight.
struct AffineRow {
  const std::byte* weight;
  const std::byte* scales;
  const std::byte* biases;
};

AffineRow row_of(const WeightView& view, std::int64_t row) {
  const auto index = static_cast<std::size_t>(row);
  return {view.weight + index * view.weight_row_bytes(),
          view.scales + index * view.scales_row_bytes(),
          view.biases + index * view.scales_row_bytes()};
}

/// Calls f(first column, scale, bias, levels[group_size]) for each group of a row.
template <int Bits, typename F>
void for_each_group(const WeightView& view, const AffineRow& row, F&& f) {
  const int group_size = view.format.group_size;
  const auto element = static_cast<std::int64_t>(dtype_bytes(view.format.dtype));
  std::uint8_t levels[128];
  for (std::int64_t group = 0; group < view.cols / group_size; ++group) {
    float scale = 0.0f;
    float bias = 0.0f;
    widen(view.format.dtype, row.scales + group * element, 1, &scale);
    widen(view.format.dtype, row.biases + group * element, 1, &bias);
    const std::int64_t column = group * group_size;
    detail::unpack_levels<Bits>(row.weight + column * Bits / 8, group_size, levels);
    f(column, scale, bias, levels);
  }
}

}  // namespace

Result<void> check_format(const WeightFormat& format, std::int64_t cols, std::string_view name) {
  const auto wrong = [&](ErrorCode code, std::string problem, std::string expected,
                         std::string found) {
    return fail({.code = code,
                 .where = std::string(name),
                 .problem = std::move(problem),
                 .expected = std::move(expected),
                 .found = std::move(found)});
  };
  if (!is_float_dtype(format.dtype))
    return wrong(ErrorCode::kUnsupported, "weights, scales and biases are floating point numbers",
                 "float32, float16 or bfloat16", std::string(dtype_name(format.dtype)));
  if (format.kind == WeightFormat::Kind::kDense) return {};
  if (std::ranges::find(kAffineBits, format.bits) == kAffineBits.end())
    return wrong(ErrorCode::kUnsupported, "no affine format of this many bits",
                 fmt::format("one of {}", fmt::join(kAffineBits, ", ")),
                 fmt::format("{}", format.bits));
  if (std::ranges::find(kAffineGroupSizes, format.group_size) == kAffineGroupSizes.end())
    return wrong(ErrorCode::kUnsupported, "no affine format of this group size",
                 fmt::format("one of {}", fmt::join(kAffineGroupSizes, ", ")),
                 fmt::format("{}", format.group_size));
  if (cols <= 0 || cols % format.group_size != 0)
    return wrong(ErrorCode::kMismatch, "columns do not fill whole groups",
                 fmt::format("a multiple of {}", format.group_size), fmt::format("{}", cols));
  return {};
}

WeightView QuantizedWeight::view() const {
  return {.name = name,
          .format = format,
          .rows = rows,
          .cols = cols,
          .weight = weight.data(),
          .scales = scales.data(),
          .biases = biases.data()};
}

void unpack_levels(const WeightView& view, std::int64_t row, std::uint8_t* out) {
  detail::dispatch_bits(view.format.bits, [&]<int Bits>() {
    detail::unpack_levels<Bits>(row_of(view, row).weight, view.cols, out);
  });
}

void dequantize_row(const WeightView& view, std::int64_t row, float* out) {
  if (view.format.kind == WeightFormat::Kind::kDense) {
    widen(view.format.dtype, view.weight + static_cast<std::size_t>(row) * view.weight_row_bytes(),
          view.cols, out);
    return;
  }
  detail::dispatch_bits(view.format.bits, [&]<int Bits>() {
    for_each_group<Bits>(view, row_of(view, row),
                         [&](std::int64_t column, float scale, float bias, const auto& levels) {
                           for (int i = 0; i < view.format.group_size; ++i)
                             out[column + i] = scale * static_cast<float>(levels[i]) + bias;
                         });
  });
}

void dequantize_row_mlx(const WeightView& view, std::int64_t row, std::byte* out) {
  if (view.format.kind == WeightFormat::Kind::kDense) {
    std::memcpy(out, view.weight + static_cast<std::size_t>(row) * view.weight_row_bytes(),
                view.weight_row_bytes());
    return;
  }
  const DType dtype = view.format.dtype;
  const auto element = static_cast<std::int64_t>(dtype_bytes(dtype));
  detail::dispatch_bits(view.format.bits, [&]<int Bits>() {
    for_each_group<Bits>(view, row_of(view, row),
                         [&](std::int64_t column, float scale, float bias, const auto& levels) {
                           float w[128];
                           std::byte rounded[sizeof w];
                           const int count = view.format.group_size;
                           for (int i = 0; i < count; ++i)
                             w[i] = scale * static_cast<float>(levels[i]);
                           narrow(dtype, w, count, rounded);
                           widen(dtype, rounded, count, w);
                           for (int i = 0; i < count; ++i) w[i] += bias;
                           narrow(dtype, w, count, out + column * element);
                         });
  });
}

Result<void> quantized_matmul(std::span<const float> x, std::int64_t m, const WeightView& w,
                              bool transpose, std::span<float> out) {
  BOBBY_CHECK(check_format(w.format, w.cols, w.name));
  const std::int64_t in = transpose ? w.cols : w.rows;
  const std::int64_t features = transpose ? w.rows : w.cols;
  if (m < 0 || w.rows < 0 || x.size() != static_cast<std::size_t>(m * in) ||
      out.size() != static_cast<std::size_t>(m * features))
    return fail({.code = ErrorCode::kUsage,
                 .where = w.name,
                 .problem = "input or output of quantized_matmul has the wrong size",
                 .expected = fmt::format("[{}, {}] and [{}, {}]", m, in, m, features),
                 .found = fmt::format("{} and {} elements", x.size(), out.size())});
  std::vector<float> row(static_cast<std::size_t>(w.cols));
  std::ranges::fill(out, 0.0f);
  for (std::int64_t r = 0; r < w.rows; ++r) {
    dequantize_row(w, r, row.data());
    for (std::int64_t i = 0; i < m; ++i) {
      const float* xi = x.data() + i * in;
      float* yi = out.data() + i * features;
      if (transpose) {
        float sum = 0.0f;
        for (std::int64_t c = 0; c < w.cols; ++c) sum += xi[c] * row[static_cast<std::size_t>(c)];
        yi[r] = sum;
      } else {
        for (std::int64_t c = 0; c < w.cols; ++c) yi[c] += xi[r] * row[static_cast<std::size_t>(c)];
      }
    }
  }
  return {};
}

}  // namespace bobby
