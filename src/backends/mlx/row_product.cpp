#include "backends/mlx/row_product.h"

#include <algorithm>
#include <cassert>

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
      product_(mx::fast::cuda_kernel(
          "bobby_row_product",
          {"x", "weight", "scales", "biases", "norm", "eps", "z", "b", "scale", "residual"}, {"y"},
          kProduct, kernel_source({"row_input.cuh", "row_product.cuh"}))),
      low_rank_(mx::fast::cuda_kernel("bobby_low_rank", {"x", "norm", "eps", "a", "factor"}, {"z"},
                                      kLowRank, kernel_source({"row_input.cuh", "low_rank.cuh"}))),
      none_(mx::zeros({1}, mx::float32, stream_)),
      nothing_(mx::zeros({1, 1}, mx::float32, stream_)),
      ones_(mx::ones({kMostRows, 1}, mx::float32, stream_)) {
  mx::eval(none_, nothing_, ones_);
}

mx::array RowProduct::operator()(const RowInput& input, const Matrix& matrix,
                                 const std::optional<RowAddend>& addend,
                                 const std::optional<mx::array>& residual) const {
  const int rows = input.x.shape(0), outputs = matrix.weight.shape(0);
  [[maybe_unused]] const int columns = matrix.weight.shape(1) * 8;
  assert(matrix.scales && (input.x.shape(1) == columns || input.x.shape(1) == 2 * columns));
  const int blocks = std::min((outputs + kOutputsOfABlock - 1) / kOutputsOfABlock,
                              std::max(1, kMostBlocks / rows));
  return product_({input.x, matrix.weight, *matrix.scales, *matrix.biases,
                   input.norm.value_or(none_), input.eps.value_or(none_),
                   addend ? addend->z : nothing_, addend ? addend->b : nothing_,
                   addend ? addend->scale : none_, residual.value_or(nothing_)},
                  {{rows, outputs}}, {mx::float32}, {rows * kThreads, blocks, 1}, {kThreads, 1, 1},
                  {}, std::nullopt, false, stream_)
      .front();
}

mx::array RowProduct::low_rank(const RowInput& input, const mx::array& a,
                               const std::optional<mx::array>& factor) const {
  const int rows = input.x.shape(0), ranks = a.shape(0);
  return low_rank_({input.x, input.norm.value_or(none_), input.eps.value_or(none_), a,
                    factor.value_or(ones_)},
                   {{rows, ranks}}, {mx::float32}, {rows * kThreads, ranks, 1}, {kThreads, 1, 1},
                   {}, std::nullopt, false, stream_)
      .front();
}

}  // namespace bobby::mlx_backend
