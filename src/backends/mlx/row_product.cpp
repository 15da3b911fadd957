#include "backends/mlx/row_product.h"

#include <algorithm>
#include <cassert>

#include "backends/mlx/row_product_kernel.h"

namespace bobby::mlx_backend {
namespace {

constexpr int kThreads = 256;         // the kernel's kWarps
constexpr int kOutputsOfABlock = 16;  // kWarps x kOutputs
// Two on each of an H200's multiprocessors: each fills its x once for all its outputs.
constexpr int kMostBlocks = 264;

}  // namespace

RowProduct::RowProduct(const Machine& machine)
    : kernel_(mx::fast::cuda_kernel("bobby_row_product", {"x", "weight", "scales", "biases"}, {"y"},
                                    kRowProductBody, kRowProductHeader)),
      stream_(machine.stream) {}

mx::array RowProduct::operator()(const mx::array& x, const Matrix& matrix) const {
  const int rows = x.shape(0), outputs = matrix.weight.shape(0);
  assert(matrix.scales && x.shape(1) == matrix.weight.shape(1) * 8);
  const int blocks = std::min((outputs + kOutputsOfABlock - 1) / kOutputsOfABlock,
                              std::max(1, kMostBlocks / rows));
  return kernel_({x, matrix.weight, *matrix.scales, *matrix.biases}, {{rows, outputs}},
                 {mx::float32}, {rows * kThreads, blocks, 1}, {kThreads, 1, 1}, {}, std::nullopt,
                 false, stream_)
      .front();
}

}  // namespace bobby::mlx_backend
