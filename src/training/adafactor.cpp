#include <algorithm>
#include <array>
#include <cmath>
#include <span>
#include <vector>

#include "training/optimizer_state.h"

namespace bobby {
namespace {

constexpr std::array<std::string_view, 4> kSuffixes = {"exp_avg_sq_row", "exp_avg_sq_col",
                                                       "exp_avg_sq", "exp_avg"};

// Means are summed in double and rounded once, so that no order of summation shows.
float mean_of(double sum, std::size_t count) {
  return as_float(sum / static_cast<double>(count));
}

float root_mean_square(std::span<const float> values) {
  double sum = 0;
  for (const float value : values) sum += static_cast<double>(value * value);
  return std::sqrt(mean_of(sum, values.size()));
}

float reciprocal_root(float value) {
  return 1.0f / std::sqrt(value);
}

class Adafactor final : public TensorOptimizer {
 public:
  explicit Adafactor(const AdafactorOptions& options)
      : TensorOptimizer(kSuffixes), options_(options) {}

 private:
  void update(float learning_rate, const ParameterUpdate& parameter) override {
    const float rate = rate_of(learning_rate, root_mean_square(parameter.value));
    const float beta_2 =
        1.0f - std::pow(static_cast<float>(step_count()), as_float(options_.decay_rate));
    std::vector<float> change =
        parameter.matrix ? factored(parameter, beta_2) : unfactored(parameter, beta_2);
    const float divisor =
        std::max(1.0f, root_mean_square(change) / as_float(options_.clip_threshold));
    for (float& value : change) value = rate * (value / divisor);
    if (options_.beta_1) smooth(parameter, change);
    const float decay = as_float(-options_.weight_decay) * rate;
    for (std::size_t i = 0; i < change.size(); ++i) {
      float& value = parameter.value[i];
      if (options_.weight_decay != 0) value += value * decay;
      value -= change[i];
    }
  }

  float rate_of(float learning_rate, float parameter_rms) const {
    float rate = learning_rate;
    if (options_.relative_step) {
      const float step = static_cast<float>(step_count());
      const float least = options_.warmup_init ? 1e-6f * step : 1e-2f;
      rate = std::min(least, reciprocal_root(step));
    }
    return options_.scale_parameter ? std::max(as_float(options_.eps_2), parameter_rms) * rate
                                    : rate;
  }

  // The second moment as an outer product of its row and column means.
  std::vector<float> factored(const ParameterUpdate& parameter, float beta_2) {
    const auto rows = static_cast<std::size_t>(parameter.rows);
    const auto cols = static_cast<std::size_t>(parameter.cols);
    const std::span<float> row = tensor(parameter, "exp_avg_sq_row", rows);
    const std::span<float> col = tensor(parameter, "exp_avg_sq_col", cols);
    std::vector<double> col_sums(cols, 0.0);
    double row_total = 0;
    for (std::size_t i = 0; i < rows; ++i) {
      double row_sum = 0;
      for (std::size_t j = 0; j < cols; ++j) {
        const float square = squared(parameter.gradient[i * cols + j]);
        row_sum += square;
        col_sums[j] += square;
      }
      row[i] = beta_2 * row[i] + (1.0f - beta_2) * mean_of(row_sum, cols);
      row_total += row[i];
    }
    const float row_mean = mean_of(row_total, rows);
    std::vector<float> col_factor(cols);
    for (std::size_t j = 0; j < cols; ++j) {
      col[j] = beta_2 * col[j] + (1.0f - beta_2) * mean_of(col_sums[j], rows);
      col_factor[j] = reciprocal_root(col[j]);
    }
    std::vector<float> change(rows * cols);
    for (std::size_t i = 0; i < rows; ++i) {
      const float row_factor = reciprocal_root(row[i] / row_mean);
      for (std::size_t j = 0; j < cols; ++j)
        change[i * cols + j] = row_factor * col_factor[j] * parameter.gradient[i * cols + j];
    }
    return change;
  }

  std::vector<float> unfactored(const ParameterUpdate& parameter, float beta_2) {
    const std::span<float> average = tensor(parameter, "exp_avg_sq", parameter.value.size());
    std::vector<float> change(average.size());
    for (std::size_t i = 0; i < average.size(); ++i) {
      average[i] = beta_2 * average[i] + (1.0f - beta_2) * squared(parameter.gradient[i]);
      change[i] = reciprocal_root(average[i]) * parameter.gradient[i];
    }
    return change;
  }

  void smooth(const ParameterUpdate& parameter, std::span<float> change) {
    const std::span<float> average = tensor(parameter, "exp_avg", change.size());
    const float beta = as_float(*options_.beta_1), rest = as_float(1 - *options_.beta_1);
    for (std::size_t i = 0; i < change.size(); ++i)
      change[i] = average[i] = beta * average[i] + rest * change[i];
  }

  float squared(float gradient) const { return gradient * gradient + as_float(options_.eps_1); }

  AdafactorOptions options_;
};

}  // namespace

std::unique_ptr<Optimizer> make_adafactor(const AdafactorOptions& options) {
  return std::make_unique<Adafactor>(options);
}

}  // namespace bobby
