// Every operation of training against finite differences, in double: the same templates that train.

#include <functional>

#include "backend_fixture.h"
#include "backends/cpu/training/attention.h"
#include "backends/cpu/training/cross_entropy.h"
#include "backends/cpu/training/dropout.h"
#include "backends/cpu/training/linear.h"
#include "backends/cpu/training/rope.h"
#include "backends/cpu/training/row_ops.h"
#include "base/thread_pool.h"

namespace bobby::test {
namespace {

using cpu::Matrix;

/// A matrix that owns its numbers, with a gradient of the same shape.
struct Variable {
  Variable() = default;
  Variable(Random& random, std::int64_t row_count, std::int64_t col_count, double deviation = 1.0)
      : rows(row_count), cols(col_count) {
    for (std::int64_t i = 0; i < rows * cols; ++i)
      value.push_back(random.normal(static_cast<float>(deviation)));
    gradient.assign(value.size(), 0.0);
  }
  Matrix<double> matrix() { return {value.data(), rows, cols}; }
  Matrix<double> gradient_matrix() { return {gradient.data(), rows, cols}; }

  std::int64_t rows = 0;
  std::int64_t cols = 0;
  std::vector<double> value;
  std::vector<double> gradient;
};

double weighted_sum(const std::vector<double>& values, const std::vector<double>& coefficients) {
  double sum = 0;
  for (std::size_t i = 0; i < values.size(); ++i) sum += values[i] * coefficients[i];
  return sum;
}

class TrainingGradients : public ::testing::Test {
 protected:
  /// loss() reads `variable`; its gradient must be what the backward left there.
  void expect_gradient(const std::function<double()>& loss, Variable& variable,
                       const std::string& name) {
    const std::size_t stride = std::max<std::size_t>(variable.value.size() / 100, 1);
    for (std::size_t i = 0; i < variable.value.size(); i += stride) {
      // The error is h^2 times a third derivative, about 1, and rounding of a loss of thousands of
      // terms, up to 1e4 * 2^-52 / h.
      constexpr double kStep = 1e-5;
      const double kept = variable.value[i];
      variable.value[i] = kept + kStep;
      const double above = loss();
      variable.value[i] = kept - kStep;
      const double below = loss();
      variable.value[i] = kept;
      const double expected = (above - below) / (2 * kStep);
      EXPECT_NEAR(variable.gradient[i], expected, 1e-6 * (1.0 + std::abs(expected)))
          << name << " " << i;
    }
  }

  WeightView weight(std::int64_t rows, std::int64_t cols) {
    const std::vector<float> values = random_.normals(rows * cols, 0.3f);
    const WeightView dense_view{.name = "weight",
                                .format = dense(DType::kF32),
                                .rows = rows,
                                .cols = cols,
                                .weight = reinterpret_cast<const std::byte*>(values.data())};
    quantized_.push_back(std::make_unique<QuantizedWeight>(quantize(dense_view, 4, 32).value()));
    return quantized_.back()->view();
  }

  Random random_{11};
  ThreadPool pool_{2};
  cpu::TrainingMachine<double> machine_{cpu::kDoubleTraining, pool_};
  std::vector<std::unique_ptr<QuantizedWeight>> quantized_;
  /// More queries than attention takes at once, and a sequence of one row.
  std::vector<TrainingSequence> sequences_ = {{0, 3, 5}, {3, 1, 9}, {4, 67, 2}};
  std::int64_t rows_ = 71;
};

TEST_F(TrainingGradients, RmsNorm) {
  Variable x(random_, 4, 7);
  const Variable weight(random_, 1, 7);
  Variable out(random_, 4, 7);
  const Variable coefficients(random_, 4, 7);
  out.gradient = coefficients.value;
  cpu::rms_norm_backward(machine_, x.matrix(), weight.value.data(), 1e-3, out.gradient_matrix(),
                         x.gradient_matrix());
  const auto loss = [&] {
    cpu::rms_norm(machine_, x.matrix(), weight.value.data(), 1e-3, out.matrix());
    return weighted_sum(out.value, coefficients.value);
  };
  expect_gradient(loss, x, "x");
  // It adds: once more is twice.
  const std::vector<double> once = x.gradient;
  cpu::rms_norm_backward(machine_, x.matrix(), weight.value.data(), 1e-3, out.gradient_matrix(),
                         x.gradient_matrix());
  for (std::size_t i = 0; i < once.size(); ++i) EXPECT_DOUBLE_EQ(x.gradient[i], 2 * once[i]);
}

TEST_F(TrainingGradients, Swiglu) {
  Variable gate(random_, 5, 9, 3.0);
  Variable up(random_, 5, 9);
  Variable out(random_, 5, 9);
  const Variable coefficients(random_, 5, 9);
  out.gradient = coefficients.value;
  cpu::swiglu_backward(machine_, gate.matrix(), up.matrix(), out.gradient_matrix(),
                       gate.gradient_matrix(), up.gradient_matrix());
  const auto loss = [&] {
    cpu::swiglu(machine_, gate.matrix(), up.matrix(), out.matrix());
    return weighted_sum(out.value, coefficients.value);
  };
  expect_gradient(loss, gate, "gate");
  expect_gradient(loss, up, "up");
}

TEST_F(TrainingGradients, Rope) {
  constexpr std::int64_t kHeadDim = 6;
  const std::vector<float> inv_freq = {1.0f, 0.3f, 0.01f};
  const Variable norm(random_, 1, kHeadDim);
  for (const bool with_norm : {false, true}) {
    Variable projected(random_, rows_, 3 * kHeadDim);
    Variable rotated(random_, rows_, 3 * kHeadDim);
    const Variable coefficients(random_, rows_, 3 * kHeadDim);
    cpu::RopeArgs<double> args{.projected = projected.matrix(),
                               .rotated = rotated.matrix(),
                               .norm = with_norm ? norm.value.data() : nullptr,
                               .eps = 1e-4,
                               .inv_freq = inv_freq,
                               .sequences = sequences_};
    const auto loss = [&] {
      cpu::rope(machine_, args);
      return weighted_sum(rotated.value, coefficients.value);
    };
    cpu::RopeArgs<double> backward = args;
    projected.gradient = coefficients.value;  // in place, as the network has it
    backward.rotated = projected.gradient_matrix();
    cpu::rope_backward(machine_, backward, projected.gradient_matrix());
    expect_gradient(loss, projected, with_norm ? "with norm" : "without norm");
  }
}

TEST_F(TrainingGradients, Attention) {
  constexpr std::int64_t kHeadDim = 5;
  constexpr std::int64_t kHeads = 4;
  constexpr std::int64_t kKvHeads = 2;
  Variable q(random_, rows_, kHeads * kHeadDim);
  Variable k(random_, rows_, kKvHeads * kHeadDim);
  Variable v(random_, rows_, kKvHeads * kHeadDim);
  Variable out(random_, rows_, kHeads * kHeadDim);
  const Variable coefficients(random_, rows_, kHeads * kHeadDim);
  const cpu::AttentionArgs<double> args{.q = q.matrix(),
                                        .k = k.matrix(),
                                        .v = v.matrix(),
                                        .out = out.matrix(),
                                        .head_dim = kHeadDim,
                                        .scale = 0.7,
                                        .sequences = sequences_};
  out.gradient = coefficients.value;
  for (Variable* one : {&q, &k, &v}) std::ranges::fill(one->gradient, 1e9);  // is overwritten
  cpu::attention_backward(machine_, args,
                          {.out = out.gradient_matrix(),
                           .q = q.gradient_matrix(),
                           .k = k.gradient_matrix(),
                           .v = v.gradient_matrix()});
  const auto loss = [&] {
    cpu::attention(machine_, args);
    return weighted_sum(out.value, coefficients.value);
  };
  expect_gradient(loss, q, "q");
  expect_gradient(loss, k, "k");
  expect_gradient(loss, v, "v");
}

/// Two projections of one input: the first frozen with a bias, the second with a pair.
struct LinearCase {
  float dropout = 0;
  bool dora = false;
};

class TrainingLinearGradients : public TrainingGradients,
                                public ::testing::WithParamInterface<LinearCase> {};

TEST_P(TrainingLinearGradients, Linear) {
  constexpr std::int64_t kIn = 64;
  constexpr std::int64_t kOut = 37;
  constexpr std::int64_t kRank = 3;
  const WeightView frozen_weight = weight(kOut, kIn);
  const WeightView adapted_weight = weight(kOut, kIn);
  const Variable bias(random_, 1, kOut);
  Variable x(random_, rows_, kIn);
  Variable a(random_, kRank, kIn);
  Variable b(random_, kRank, kOut);
  Variable multiplier(random_, 1, kOut);
  Variable frozen_out(random_, rows_, kOut);
  Variable out(random_, rows_, kOut);
  Variable low(random_, rows_, kRank);
  Variable unscaled(random_, rows_, kOut);
  const Variable coefficients(random_, 2 * rows_, kOut);
  const std::vector<double> first(coefficients.value.begin(),
                                  coefficients.value.begin() + rows_ * kOut);
  const std::vector<double> second(coefficients.value.begin() + rows_ * kOut,
                                   coefficients.value.end());

  cpu::LoraPair<double> pair{.a = a.matrix(),
                             .b = b.matrix(),
                             .a_gradient = a.gradient_matrix(),
                             .b_gradient = b.gradient_matrix(),
                             .scale = 1.7,
                             .dropout = {.rate = GetParam().dropout, .key = 42}};
  if (GetParam().dora) {
    pair.multiplier = multiplier.matrix();
    pair.multiplier_gradient = multiplier.gradient_matrix();
  }
  const std::vector<cpu::LinearOutput<double>> outputs = {
      {.weight = &frozen_weight,
       .bias = bias.value.data(),
       .out = frozen_out.matrix(),
       .out_gradient = frozen_out.gradient_matrix()},
      {.weight = &adapted_weight,
       .bias = bias.value.data(),
       .lora = &pair,
       .out = out.matrix(),
       .out_gradient = out.gradient_matrix(),
       .low = low.matrix(),
       .unscaled = GetParam().dora ? unscaled.matrix() : Matrix<double>{}}};
  const auto loss = [&] {
    cpu::linear<double>(machine_, x.matrix(), outputs, sequences_);
    return weighted_sum(frozen_out.value, first) + weighted_sum(out.value, second);
  };
  loss();
  frozen_out.gradient = first;
  out.gradient = second;
  cpu::linear_backward<double>(machine_, x.matrix(), outputs, sequences_, x.gradient_matrix());
  expect_gradient(loss, x, "x");
  expect_gradient(loss, a, "a");
  expect_gradient(loss, b, "b");
  if (GetParam().dora) expect_gradient(loss, multiplier, "multiplier");
}

INSTANTIATE_TEST_SUITE_P(Cases, TrainingLinearGradients,
                         ::testing::Values(LinearCase{0.0f, false}, LinearCase{0.3f, false},
                                           LinearCase{0.0f, true}, LinearCase{0.3f, true}));

TEST_F(TrainingGradients, DropoutKeepsItsShareByRecordAndPosition) {
  constexpr std::int64_t kCols = 501;
  Variable x(random_, rows_, kCols);
  std::ranges::fill(x.value, 1.0);
  Variable out(random_, rows_, kCols);
  cpu::drop(machine_, x.matrix(), {.rate = 0.25f, .key = 3}, sequences_, out.matrix());
  std::int64_t kept = 0;
  for (const double value : out.value) {
    EXPECT_TRUE(value == 0.0 || value == 1.0 / 0.75) << value;
    kept += value != 0.0;
  }
  const double count = static_cast<double>(rows_ * kCols);
  EXPECT_NEAR(static_cast<double>(kept) / count, 0.75, 5 * std::sqrt(0.75 * 0.25 / count));

  // The last sequence alone draws the same; another key does not.
  Variable alone(random_, 67, kCols);
  const std::vector<TrainingSequence> last = {{0, 67, sequences_[2].record}};
  const Matrix<double> own = {x.value.data(), 67, kCols};
  cpu::drop(machine_, own, {.rate = 0.25f, .key = 3}, last, alone.matrix());
  const std::vector<double> packed(out.value.begin() + 4 * kCols, out.value.end());
  EXPECT_EQ(alone.value, packed);
  cpu::drop(machine_, own, {.rate = 0.25f, .key = 4}, last, alone.matrix());
  EXPECT_NE(alone.value, packed);
}

TEST_F(TrainingGradients, CrossEntropy) {
  const WeightView head = weight(101, 32);
  Variable x(random_, rows_, 32);
  std::vector<std::int32_t> targets;
  std::vector<float> weights;
  for (std::int64_t row = 0; row < rows_; ++row) {
    targets.push_back(static_cast<std::int32_t>(random_.integer(101)));
    weights.push_back(row % 3 == 1 ? 0.0f : static_cast<float>(0.1 * (1 + row % 7)));
  }
  std::vector<double> row_loss(static_cast<std::size_t>(rows_));
  const auto args = [&](Matrix<double> gradient) {
    return cpu::CrossEntropyArgs<double>{.x = x.matrix(),
                                         .head = &head,
                                         .targets = targets,
                                         .weights = weights,
                                         .row_loss = row_loss,
                                         .x_gradient = gradient};
  };
  cpu::cross_entropy(machine_, args(x.gradient_matrix()));
  const std::vector<double> with_gradient = row_loss;
  const auto loss = [&] {
    cpu::cross_entropy(machine_, args({}));
    double sum = 0;
    for (std::size_t row = 0; row < row_loss.size(); ++row) sum += weights[row] * row_loss[row];
    return sum;
  };
  loss();
  EXPECT_EQ(row_loss, with_gradient);
  expect_gradient(loss, x, "x");
}

TEST_F(TrainingGradients, RowNorms) {
  const WeightView view = weight(21, 64);
  Variable a(random_, 3, 64);
  Variable b(random_, 3, 21);
  const cpu::LoraPair<double> pair{.a = a.matrix(), .b = b.matrix(), .scale = 0.4};
  std::vector<double> norms(21);
  for (const bool adapted : {false, true}) {
    cpu::row_norms(machine_, view, adapted ? &pair : nullptr, norms.data());
    std::vector<float> row(64);
    for (std::size_t j = 0; j < norms.size(); ++j) {
      dequantize_row(view, static_cast<std::int64_t>(j), row.data());
      double squares = 0;
      for (std::size_t i = 0; i < row.size(); ++i) {
        double value = row[i];
        for (std::size_t r = 0; adapted && r < 3; ++r)
          value += 0.4 * b.value[r * 21 + j] * a.value[r * 64 + i];
        squares += value * value;
      }
      EXPECT_NEAR(norms[j], std::sqrt(squares), 1e-12 * norms[j]);
    }
  }
}

}  // namespace
}  // namespace bobby::test
