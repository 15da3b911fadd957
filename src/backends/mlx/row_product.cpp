#include "backends/mlx/row_product.h"

#include <algorithm>

#include "backends/mlx/kernel_source.h"

namespace bobby::mlx_backend {
namespace {

// Two on each of an H200's multiprocessors: each fills its x once for all its outputs.
constexpr int kMostBlocks = 264;

constexpr const char* kProduct = R"cuda(
row_product({x, x_shape[1], norm, norm_shape[0], eps},
            {weight, scales, biases, weight_shape[0], weight_shape[1] * 8, scales_shape[1]},
            {z, b, scale, b_shape[0], b_shape[1]}, residual, residual_shape[1], y);
)cuda";
constexpr const char* kLowRank = R"cuda(
low_rank({x, x_shape[1], norm, norm_shape[0], eps}, a, a_shape[0], a_shape[1], factor,
         factor_shape[1], z);
)cuda";

}  // namespace

RowProduct::RowProduct(const Machine& machine)
    : stream_(machine.stream),
      none_(mx::zeros({1}, mx::float32, stream_)),
      nothing_(mx::zeros({1, 1}, mx::float32, stream_)),
      ones_(mx::ones({kMostRows, 1}, mx::float32, stream_)) {
  if (!machine.own_kernels) return;
  kernels_.emplace(
      Kernels{mx::fast::cuda_kernel(
                  "bobby_row_product",
                  {"x", "weight", "scales", "biases", "norm", "eps", "z", "b", "scale", "residual"},
                  {"y"}, kProduct, kernel_source({"row_input.cuh", "row_product.cuh"})),
              mx::fast::cuda_kernel("bobby_low_rank", {"x", "norm", "eps", "a", "factor"}, {"z"},
                                    kLowRank, kernel_source({"row_input.cuh", "low_rank.cuh"}))});
  mx::eval(none_, nothing_, ones_);
}

mx::array RowProduct::operator()(const RowInput& input, const Matrix& matrix,
                                 const std::optional<RowAddend>& addend,
                                 const std::optional<mx::array>& residual) const {
  if (!kernels_) return by_operations(input, matrix, addend, residual);
  const auto& [x, norm] = input;
  const int rows = x.shape(0), outputs = matrix.weight.shape(0);
  const int blocks = std::min((outputs + kOutputsOfABlock - 1) / kOutputsOfABlock,
                              std::max(1, kMostBlocks / rows));
  return kernels_
      ->product({x, matrix.weight, *matrix.scales, *matrix.biases, norm ? norm->weight : none_,
                 norm ? norm->eps_there : none_, addend ? addend->z : nothing_,
                 addend ? addend->b : nothing_, addend ? addend->scale : none_,
                 residual.value_or(nothing_)},
                {{rows, outputs}}, {mx::float32}, {rows * kThreads, blocks, 1}, {kThreads, 1, 1},
                {}, std::nullopt, false, stream_)
      .front();
}

mx::array RowProduct::low_rank(const RowInput& input, const mx::array& a,
                               const std::optional<mx::array>& factor) const {
  if (!kernels_) return low_rank_by_operations(input, a, factor);
  const auto& [x, norm] = input;
  const int rows = x.shape(0), ranks = a.shape(0);
  return kernels_
      ->low_rank({x, norm ? norm->weight : none_, norm ? norm->eps_there : none_, a,
                  factor.value_or(ones_)},
                 {{rows, ranks}}, {mx::float32}, {rows * kThreads, ranks, 1}, {kThreads, 1, 1}, {},
                 std::nullopt, false, stream_)
      .front();
}

mx::array RowProduct::by_operations(const RowInput& input, const Matrix& matrix,
                                    const std::optional<RowAddend>& addend,
                                    const std::optional<mx::array>& residual) const {
  const int columns = matrix.weight.shape(1) * 8;
  mx::array y = mx::quantized_matmul(compute(input, columns, stream_), matrix.weight,
                                     *matrix.scales, matrix.biases, true,
                                     columns / matrix.scales->shape(1), 4, "affine", stream_);
  if (addend) {
    const mx::array scale = mx::slice(addend->scale, mx::Shape{0}, mx::Shape{1}, stream_);
    const mx::array delta = mx::matmul(addend->z, mx::transpose(addend->b, stream_), stream_);
    y = mx::add(y, mx::multiply(delta, scale, stream_), stream_);
  }
  return residual ? mx::add(y, *residual, stream_) : y;
}

mx::array RowProduct::low_rank_by_operations(const RowInput& input, const mx::array& a,
                                             const std::optional<mx::array>& factor) const {
  const mx::array z =
      mx::matmul(compute(input, a.shape(1), stream_), mx::transpose(a, stream_), stream_);
  if (!factor) return z;
  // Not 0 times what another voice makes of its row, which may be infinite.
  const mx::array zero(0.0f);
  return mx::where(mx::equal(*factor, zero, stream_), zero, mx::multiply(z, *factor, stream_),
                   stream_);
}

}  // namespace bobby::mlx_backend
