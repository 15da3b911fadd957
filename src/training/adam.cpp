#include <array>
#include <cmath>

#include "training/optimizer_state.h"

namespace bobby {
namespace {

constexpr std::array<std::string_view, 2> kSuffixes = {"m", "v"};

// Adam and AdamW of mlx.optimizers: eps stands outside of the root.
class Adam final : public TensorOptimizer {
 public:
  Adam(const AdamOptions& options, bool decoupled_weight_decay)
      : TensorOptimizer(kSuffixes),
        options_(options),
        decoupled_weight_decay_(decoupled_weight_decay) {}

 private:
  bool prepare(const ParameterUpdate& parameter) override {
    for (const std::string_view suffix : kSuffixes)
      tensor(parameter, suffix, parameter.value.size());
    return true;
  }

  void update(float learning_rate, const ParameterUpdate& parameter) override {
    const std::size_t count = parameter.value.size();
    const std::span<float> m = tensor(parameter, "m", count);
    const std::span<float> v = tensor(parameter, "v", count);
    const float beta_1 = as_float(options_.beta_1), beta_2 = as_float(options_.beta_2);
    const float rest_1 = as_float(1 - options_.beta_1), rest_2 = as_float(1 - options_.beta_2);
    for (std::size_t i = 0; i < count; ++i) {
      const float g = parameter.gradient[i];
      m[i] = beta_1 * m[i] + rest_1 * g;
      v[i] = beta_2 * v[i] + rest_2 * (g * g);
    }
    if (decoupled_weight_decay_) {
      const float kept = 1.0f - learning_rate * as_float(options_.weight_decay);
      for (float& value : parameter.value) value *= kept;
    }
    if (options_.bias_correction)
      corrected(learning_rate, parameter.value, m, v);
    else
      uncorrected(learning_rate, parameter.value, m, v);
  }

  void uncorrected(float learning_rate, std::span<float> value, std::span<const float> m,
                   std::span<const float> v) const {
    const float eps = as_float(options_.eps);
    for (std::size_t i = 0; i < value.size(); ++i)
      value[i] -= learning_rate * m[i] / (std::sqrt(v[i]) + eps);
  }

  void corrected(float learning_rate, std::span<float> value, std::span<const float> m,
                 std::span<const float> v) const {
    const float eps = as_float(options_.eps);
    const float step = static_cast<float>(step_count());
    const float c1 = learning_rate / (1.0f - std::pow(as_float(options_.beta_1), step));
    const float c2 = 1.0f / std::sqrt(1.0f - std::pow(as_float(options_.beta_2), step));
    for (std::size_t i = 0; i < value.size(); ++i)
      value[i] -= c1 * m[i] / (std::sqrt(v[i]) * c2 + eps);
  }

  AdamOptions options_;
  bool decoupled_weight_decay_;
};

}  // namespace

std::unique_ptr<Optimizer> make_adam(const AdamOptions& options, bool decoupled_weight_decay) {
  return std::make_unique<Adam>(options, decoupled_weight_decay);
}

}  // namespace bobby
