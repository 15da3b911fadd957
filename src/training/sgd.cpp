#include <array>

#include "training/optimizer_state.h"

namespace bobby {
namespace {

constexpr std::array<std::string_view, 1> kSuffixes = {"v"};

class Sgd final : public TensorOptimizer {
 public:
  explicit Sgd(const SgdOptions& options) : TensorOptimizer(kSuffixes), options_(options) {}

 private:
  void update(float learning_rate, const ParameterUpdate& parameter) override {
    const float momentum = as_float(options_.momentum);
    const float decay = as_float(options_.weight_decay);
    const float share = options_.dampening > 0 ? as_float(1 - options_.dampening) : 1.0f;
    const std::size_t count = parameter.value.size();
    const bool with_momentum = options_.momentum > 0;
    const std::span<float> v = with_momentum ? tensor(parameter, "v", count) : std::span<float>();
    for (std::size_t i = 0; i < count; ++i) {
      float g = parameter.gradient[i];
      if (decay != 0) g += decay * parameter.value[i];
      float change = g;
      if (with_momentum) {
        v[i] = momentum * v[i] + share * g;
        change = options_.nesterov ? g + momentum * v[i] : v[i];
      }
      parameter.value[i] -= learning_rate * change;
    }
  }

  SgdOptions options_;
};

}  // namespace

std::unique_ptr<Optimizer> make_sgd(const SgdOptions& options) {
  return std::make_unique<Sgd>(options);
}

}  // namespace bobby
