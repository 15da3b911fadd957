#include <algorithm>
#include <array>
#include <cmath>
#include <vector>

#include "lora/transposed.h"
#include "training/optimizer_state.h"

namespace bobby {
namespace {

constexpr std::array<std::string_view, 1> kSuffixes = {"v"};
constexpr double kA = 3.4445, kB = -4.7750, kC = 2.0315;  // the quintic of the iteration

// x [rows, cols] times its transpose → [rows, rows].
std::vector<float> gram(std::span<const float> x, std::size_t rows, std::size_t cols) {
  std::vector<float> out(rows * rows);
  for (std::size_t i = 0; i < rows; ++i)
    for (std::size_t j = 0; j <= i; ++j) {
      double sum = 0;
      for (std::size_t k = 0; k < cols; ++k)
        sum += static_cast<double>(x[i * cols + k]) * x[j * cols + k];
      out[i * rows + j] = out[j * rows + i] = as_float(sum);
    }
  return out;
}

// scale * left [rows, rows] @ right [rows, cols] + plus_scale * plus [rows, cols].
std::vector<float> product_plus(float scale, std::span<const float> left,
                                std::span<const float> right, float plus_scale,
                                std::span<const float> plus, std::size_t rows) {
  const std::size_t cols = right.size() / rows;
  std::vector<float> out(right.size());
  std::vector<double> sums(cols);
  for (std::size_t i = 0; i < rows; ++i) {
    std::ranges::fill(sums, 0.0);
    for (std::size_t k = 0; k < rows; ++k)
      for (std::size_t j = 0; j < cols; ++j)
        sums[j] += static_cast<double>(left[i * rows + k]) * right[k * cols + j];
    for (std::size_t j = 0; j < cols; ++j)
      out[i * cols + j] = scale * as_float(sums[j]) + plus_scale * plus[i * cols + j];
  }
  return out;
}

// Pulls the singular values of `x` [rows, cols] towards 1 by Newton-Schulz iterations.
std::vector<float> orthogonalised(std::vector<float> x, std::size_t rows, std::size_t cols,
                                  std::int64_t steps) {
  const bool tall = rows > cols;
  if (tall) {
    x = transposed(x, rows, cols);
    std::swap(rows, cols);
  }
  double squares = 0;
  for (const float value : x) squares += static_cast<double>(value) * value;
  const float norm = as_float(std::sqrt(squares)) + 1e-7f;
  for (float& value : x) value /= norm;
  for (std::int64_t i = 0; i < steps; ++i) {
    const std::vector<float> a = gram(x, rows, cols);
    const std::vector<float> b = product_plus(as_float(kC), a, a, as_float(kB), a, rows);
    x = product_plus(1.0f, b, x, as_float(kA), x, rows);
  }
  return tall ? transposed(x, rows, cols) : x;
}

class Muon final : public TensorOptimizer {
 public:
  explicit Muon(const MuonOptions& options) : TensorOptimizer(kSuffixes), options_(options) {}

 private:
  void update(float learning_rate, const ParameterUpdate& parameter) override {
    const std::size_t count = parameter.value.size();
    const float momentum = as_float(options_.momentum);
    const float rest = as_float(1 - options_.momentum);
    const float decay = as_float(options_.weight_decay);
    const std::span<float> v = tensor(parameter, "v", count);
    std::vector<float> change(count);
    for (std::size_t i = 0; i < count; ++i) {
      float g = parameter.gradient[i];
      if (decay != 0) g += decay * parameter.value[i];
      v[i] = momentum * v[i] + rest * g;
      change[i] = options_.nesterov ? g * rest + v[i] * momentum : v[i];
    }
    if (parameter.matrix) {
      const double shape =
          static_cast<double>(parameter.rows) / static_cast<double>(parameter.cols);
      change = orthogonalised(std::move(change), static_cast<std::size_t>(parameter.rows),
                              static_cast<std::size_t>(parameter.cols), options_.ns_steps);
      learning_rate *= as_float(std::sqrt(std::max(1.0, shape)));
    }
    for (std::size_t i = 0; i < count; ++i) parameter.value[i] -= learning_rate * change[i];
  }

  MuonOptions options_;
};

}  // namespace

std::unique_ptr<Optimizer> make_muon(const MuonOptions& options) {
  return std::make_unique<Muon>(options);
}

}  // namespace bobby
