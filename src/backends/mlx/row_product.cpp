#include "backends/mlx/row_product.h"

#include <algorithm>
#include <cassert>

#include "backends/mlx/kernel_source.h"
#include "backends/mlx/row_input_kernel.h"
#include "backends/mlx/row_product_kernel.h"

namespace bobby::mlx_backend {
namespace {

constexpr int kThreads = 256;         // of both kernels: eight warps
constexpr int kOutputsOfABlock = 16;  // kWarps x kOutputs
// Two on each of an H200's multiprocessors: each fills its x once for all its outputs.
constexpr int kMostBlocks = 264;

}  // namespace

RowProduct::RowProduct(const Machine& machine)
    : stream_(machine.stream),
      product_(mx::fast::cuda_kernel(
          "bobby_row_product",
          {"x", "weight", "scales", "biases", "norm", "eps", "z", "b", "scale", "residual"}, {"y"},
          kernel_source(kRowProductBody), kernel_source(kRowInputSource, kRowProductHeader))),
      low_rank_(mx::fast::cuda_kernel("bobby_low_rank", {"x", "norm", "eps", "a", "factor"}, {"z"},
                                      kernel_source(kLowRankBody), kernel_source(kRowInputSource))),
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
