#include "backends/mlx/pending.h"

namespace bobby::mlx_backend {
namespace {

struct Compute {
  const mx::Stream& s;

  mx::array operator()(const PendingColumns& part) const {
    return columns_of(part.whole, part.begin, part.cols, s);
  }
  mx::array operator()(const PendingInput& pending) const {
    return compute(pending.input, pending.cols, s);
  }
  mx::array operator()(const PendingProduct& product) const { return product.make(std::nullopt); }
};

}  // namespace

mx::array compute(const Pending& pending, const Machine& machine) {
  return std::visit(Compute{machine.stream}, pending);
}

}  // namespace bobby::mlx_backend
