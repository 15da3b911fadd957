#include <algorithm>
#include <bobby/arrays.h>
#include <bobby/bobby_c.h>
#include <limits>
#include <string>

#include "api/c_support.h"

namespace bobby::api {
namespace {

bobby_quantized default_quantized() {
  bobby_quantized quantized = {};
  quantized.size = sizeof quantized;
  quantized.group_size = 64;
  quantized.bits = 4;
  return quantized;
}

/// A product of sizes that is no 64-bit number is refused before it is one of a buffer.
v1::Result<void> check_extent(std::string_view name, std::int64_t rows, std::int64_t cols) {
  constexpr std::int64_t kMost = std::numeric_limits<std::int64_t>::max() / 64;
  if (rows > 0 && cols > 0 && rows <= kMost / cols) return {};
  return v1::Error{v1::ErrorCode::kUsage, std::string(name) + ": " + std::to_string(rows) +
                                              " rows of " + std::to_string(cols) +
                                              " are no matrix"};
}

v1::Result<bobby_quantized> read_quantized(const bobby_quantized* given) {
  if (auto checked = check_arguments({{"quantized", given}}); !checked) return checked.error();
  auto read = read_struct("bobby_quantized", given, default_quantized());
  if (!read) return read.error();
  if (auto checked = check_arguments(
          {{"weight", read->weight}, {"scales", read->scales}, {"biases", read->biases}});
      !checked)
    return checked.error();
  if (auto checked = check_extent("quantized", read->rows, read->cols); !checked)
    return checked.error();
  // Sizes of the arrays follow from these, so they must divide; which are formats is checked later.
  if (read->group_size > 0 && read->cols % read->group_size == 0 && read->bits > 0 &&
      read->bits <= 32 && read->cols % 32 == 0)
    return read;
  return v1::Error{v1::ErrorCode::kUnsupported,
                   "quantized: no affine format has " + std::to_string(read->bits) +
                       " bits and groups of " + std::to_string(read->group_size) + " in " +
                       std::to_string(read->cols) + " columns"};
}

template <typename T>
v1::BasicMatrixView<T> view(const T* values, std::int64_t rows, std::int64_t cols) {
  return {{values, static_cast<std::size_t>(rows * cols)}, rows, cols};
}

/// The caller's arrays.
struct Views {
  v1::PackedMatrixView weight;
  v1::MatrixView scales;
  v1::MatrixView biases;

  explicit Views(const bobby_quantized& of)
      : weight(view<std::uint32_t>(of.weight, of.rows, of.cols * of.bits / 32)),
        scales(view<float>(of.scales, of.rows, of.cols / of.group_size)),
        biases(view<float>(of.biases, of.rows, of.cols / of.group_size)) {}
};

}  // namespace
}  // namespace bobby::api

using namespace bobby::api;  // NOLINT(google-build-using-namespace): the C functions are thin over
                             // it
using bobby::v1::Result;

extern "C" {

bobby_status bobby_quantized_init(bobby_quantized* quantized, size_t size, char** error) {
  return guarded(
      error, [&] { return write_struct("bobby_quantized", size, default_quantized(), quantized); });
}

bobby_status bobby_quantize(const float* w, bobby_quantized* quantized, char** error) {
  return guarded(error, [&]() -> Result<void> {
    if (auto checked = check_arguments({{"w", w}}); !checked) return checked;
    auto into = read_quantized(quantized);
    if (!into) return into.error();
    auto result =
        bobby::v1::quantize(view<float>(w, into->rows, into->cols), into->group_size, into->bits);
    if (!result) return result.error();
    std::ranges::copy(result->weight.values, into->weight);
    std::ranges::copy(result->scales.values, into->scales);
    std::ranges::copy(result->biases.values, into->biases);
    return {};
  });
}

bobby_status bobby_dequantize(const bobby_quantized* quantized, float* w, char** error) {
  return guarded(error, [&]() -> Result<void> {
    if (auto checked = check_arguments({{"w", w}}); !checked) return checked;
    auto from = read_quantized(quantized);
    if (!from) return from.error();
    const Views views(*from);
    auto result = bobby::v1::dequantize(views.weight, views.scales, views.biases, from->group_size,
                                        from->bits);
    if (!result) return result.error();
    std::ranges::copy(result->values, w);
    return {};
  });
}

bobby_status bobby_quantized_matmul(const float* x, int64_t x_rows,
                                    const bobby_quantized* quantized, int32_t transpose, float* out,
                                    char** error) {
  return guarded(error, [&]() -> Result<void> {
    if (auto checked = check_arguments({{"x", x}, {"out", out}}); !checked) return checked;
    auto by = read_quantized(quantized);
    if (!by) return by.error();
    const std::int64_t inner = transpose != 0 ? by->cols : by->rows;
    if (auto checked = check_extent("x", x_rows, std::max(by->rows, by->cols)); !checked)
      return checked;
    const Views views(*by);
    auto result =
        bobby::v1::quantized_matmul(view<float>(x, x_rows, inner), views.weight, views.scales,
                                    views.biases, transpose != 0, by->group_size, by->bits);
    if (!result) return result.error();
    std::ranges::copy(result->values, out);
    return {};
  });
}

}  // extern "C"
