#include "backends/mlx/row_input.h"

namespace bobby::mlx_backend {

mx::array columns_of(const mx::array& whole, int begin, int count, const mx::Stream& stream) {
  return mx::slice(whole, mx::Shape{0, begin}, mx::Shape{whole.shape(0), begin + count}, stream);
}

mx::array compute(const RowInput& input, int columns, const mx::Stream& stream) {
  const auto& [x, norm] = input;
  if (norm) return mx::fast::rms_norm(x, norm->weight, norm->eps, stream);
  if (x.shape(1) == columns) return x;
  const mx::array gate = columns_of(x, 0, columns, stream);
  const mx::array silu = mx::multiply(gate, mx::sigmoid(gate, stream), stream);
  return mx::multiply(silu, columns_of(x, columns, columns, stream), stream);
}

}  // namespace bobby::mlx_backend
