#include "backends/mlx/pending.h"

namespace bobby::mlx_backend {
namespace {

mx::array columns(const mx::array& whole, int begin, int cols, const mx::Stream& s) {
  return mx::slice(whole, mx::Shape{0, begin}, mx::Shape{whole.shape(0), begin + cols}, s);
}

struct Compute {
  const mx::Stream& s;

  mx::array operator()(const PendingColumns& part) const {
    return columns(part.whole, part.begin, part.cols, s);
  }
  mx::array operator()(const PendingInput& pending) const {
    const mx::array& x = pending.input.x;
    if (pending.input.norm) return mx::fast::rms_norm(x, pending.input.norm, pending.eps, s);
    const mx::array gate = columns(x, 0, pending.cols, s);
    return mx::multiply(mx::multiply(gate, mx::sigmoid(gate, s), s),
                        columns(x, pending.cols, pending.cols, s), s);
  }
  mx::array operator()(const PendingProduct& product) const { return product.make(std::nullopt); }
};

}  // namespace

mx::array compute(const Pending& pending, const Machine& machine) {
  return std::visit(Compute{machine.stream}, pending);
}

}  // namespace bobby::mlx_backend
