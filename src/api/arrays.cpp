#include <bobby/arrays.h>

#include "api/publish.h"
#include "tensor/formats/affine.h"

namespace bobby::v1 {
namespace {

template <typename T>
bobby::Result<void> check_shape(std::string name, const BasicMatrixView<T>& view) {
  // Divided, not multiplied: rows * cols may be no 64-bit number.
  const auto size = static_cast<std::int64_t>(view.values.size());
  if (view.rows > 0 && view.cols > 0 && size / view.cols == view.rows && size % view.cols == 0)
    return {};
  return fail({.code = bobby::ErrorCode::kUsage,
               .where = std::move(name),
               .problem = "is not of its shape",
               .expected = "rows * cols numbers, at least one",
               .found = std::to_string(size) + " for " + std::to_string(view.rows) + " rows of " +
                        std::to_string(view.cols)});
}

const std::byte* bytes_of(const void* values) {
  return static_cast<const std::byte*>(values);
}

bobby::Error wrong_shape(std::string name, std::int64_t rows, std::int64_t cols) {
  return {.code = bobby::ErrorCode::kMismatch,
          .where = std::move(name),
          .problem = "does not fit the other arrays",
          .expected = "[" + std::to_string(rows) + ", " + std::to_string(cols) + "]"};
}

/// The three arrays as one weight, checked.
bobby::Result<WeightView> weight_of(const PackedMatrixView& w, const MatrixView& scales,
                                    const MatrixView& biases, int group_size, int bits) {
  BOBBY_CHECK(check_shape("w", w));
  BOBBY_CHECK(check_shape("scales", scales));
  BOBBY_CHECK(check_shape("biases", biases));
  WeightFormat format{.kind = WeightFormat::Kind::kAffine,
                      .dtype = DType::kF32,
                      .bits = bits,
                      .group_size = group_size};
  BOBBY_CHECK(check_format(format, group_size, "w"));  // bits and group_size, before they divide
  const std::int64_t cols = scales.cols * group_size;
  if (scales.rows != w.rows) return fail(wrong_shape("scales", w.rows, scales.cols));
  if (biases.rows != w.rows || biases.cols != scales.cols)
    return fail(wrong_shape("biases", w.rows, scales.cols));
  if (w.cols != cols * bits / 32) return fail(wrong_shape("w", w.rows, cols * bits / 32));
  return WeightView{.name = "w",
                    .format = format,
                    .rows = w.rows,
                    .cols = cols,
                    .weight = bytes_of(w.values.data()),
                    .scales = bytes_of(scales.values.data()),
                    .biases = bytes_of(biases.values.data())};
}

template <typename T>
BasicMatrix<T> matrix(std::int64_t rows, std::int64_t cols) {
  return {std::vector<T>(static_cast<std::size_t>(rows * cols)), rows, cols};
}

bobby::Result<Quantized> quantize_checked(const MatrixView& w, int group_size, int bits) {
  BOBBY_CHECK(check_shape("w", w));
  const WeightView dense{.name = "w",
                         .format = {},
                         .rows = w.rows,
                         .cols = w.cols,
                         .weight = bytes_of(w.values.data())};
  const WeightFormat format = affine_format(dense, bits, group_size);
  BOBBY_CHECK(check_format(format, w.cols, "w"));
  Quantized result{matrix<std::uint32_t>(w.rows, w.cols * bits / 32),
                   matrix<float>(w.rows, w.cols / group_size),
                   matrix<float>(w.rows, w.cols / group_size)};
  const AffineRows out{reinterpret_cast<std::byte*>(result.weight.values.data()),
                       reinterpret_cast<std::byte*>(result.scales.values.data()),
                       reinterpret_cast<std::byte*>(result.biases.values.data())};
  BOBBY_CHECK(quantize_rows(dense, 0, w.rows, format, Rounding::kGpu, out));
  return result;
}

bobby::Result<Matrix> multiply(const MatrixView& x, const WeightView& w, bool transpose) {
  BOBBY_CHECK(check_shape("x", x));
  const std::int64_t inner = transpose ? w.cols : w.rows;
  if (x.cols != inner) return fail(wrong_shape("x", x.rows, inner));
  Matrix result = matrix<float>(x.rows, transpose ? w.rows : w.cols);
  BOBBY_CHECK(bobby::quantized_matmul(x.values, x.rows, w, transpose, result.values));
  return result;
}

}  // namespace

Result<Quantized> quantize(MatrixView w, int group_size, int bits) {
  return api::publish(quantize_checked(w, group_size, bits));
}

Result<Matrix> dequantize(PackedMatrixView w, MatrixView scales, MatrixView biases, int group_size,
                          int bits) {
  auto view = weight_of(w, scales, biases, group_size, bits);
  if (!view) return api::publish(view.error());
  Matrix result = matrix<float>(view->rows, view->cols);
  for (std::int64_t row = 0; row < view->rows; ++row)
    dequantize_row(*view, row, result.values.data() + row * view->cols);
  return result;
}

Result<Matrix> quantized_matmul(MatrixView x, PackedMatrixView w, MatrixView scales,
                                MatrixView biases, bool transpose, int group_size, int bits) {
  auto view = weight_of(w, scales, biases, group_size, bits);
  if (!view) return api::publish(view.error());
  return api::publish(multiply(x, *view, transpose));
}

}  // namespace bobby::v1
