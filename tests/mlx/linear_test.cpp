// linear() of the MLX backend: every format against the reference, and adapters on mixed rows.

#include "mlx/mlx_fixture.h"
#include "unit/backends/linear_case.h"

namespace bobby::test {
namespace {

class MlxLinearTest : public MlxFixture {};

/// fp32 sums in any order, of weights that were widened with two roundings.
double tolerance(const WeightView& view, std::int64_t row, const float* x) {
  std::vector<float> w(static_cast<std::size_t>(view.cols));
  dequantize_row(view, row, w.data());
  double terms = 0, most = 0;
  for (std::int64_t i = 0; i < view.cols; ++i) {
    terms += std::abs(static_cast<double>(w[static_cast<std::size_t>(i)]) * x[i]);
    most = std::max(most, std::abs(static_cast<double>(w[static_cast<std::size_t>(i)])));
  }
  double sizes = terms;  // MLX may sum scale * q and the bias apart, each as large as the group's
  for (std::int64_t i = 0; i < view.cols; ++i)
    sizes += 2 * most * std::abs(static_cast<double>(x[i]));
  return gamma(view.cols + 10) * sizes;
}

void expect_close(const LinearCase& c, const std::vector<float>& x, std::int64_t rows,
                  const Outputs& actual, const Outputs& expected) {
  for (std::size_t p = 0; p < c.weights.size(); ++p) {
    const WeightView& view = c.weights[p]->view();
    for (std::int64_t m = 0; m < rows; ++m)
      for (std::int64_t n = 0; n < view.rows; ++n) {
        const auto at = static_cast<std::size_t>(m * view.rows + n);
        ASSERT_NEAR(actual[p][at], expected[p][at], tolerance(view, n, x.data() + m * view.cols))
            << view.format.to_string() << " cols " << view.cols << " row " << m << " output " << n;
      }
  }
}

TEST_P(MlxLinearTest, EveryFormatAndShape) {
  for (const WeightFormat& format : all_formats()) {
    const int group = format.kind == WeightFormat::Kind::kDense ? 1 : format.group_size;
    for (const std::int64_t cols : {32, 96, 128, 576, 2176}) {
      if (cols % group != 0) continue;
      const WeightBytes weight(format, cols < 500 ? 24 : 8, cols, random_);
      const LinearCase c{{&weight}, {}, {}};
      for (const std::int64_t rows : {1, 3, 9, 18}) {
        const auto x = random_.activations(rows * cols);
        expect_close(c, x, rows, run(*mlx_, c, x, 0, rows), run(*reference_, c, x, 0, rows));
        if (HasFatalFailure()) return;
      }
    }
  }
}

// Projections of one format are one matrix where that is quicker; each keeps its own rows.
TEST_P(MlxLinearTest, ProjectionsOfOneFormat) {
  const WeightBytes q(affine(4, 64), 64, 256, random_), k(affine(4, 64), 16, 256, random_),
      v(affine(4, 64, DType::kF16), 16, 256, random_);
  const LoraBytes on_q(8, 256, 64, random_), on_v(4, 256, 16, random_), other(8, 256, 64, random_);
  const WeightBytes bias(dense(DType::kF32), 1, 16, random_.normals(16));
  for (const std::int64_t rows : {1, 4, 11}) {
    const LinearCase c{{&q, &k, &v},
                       {nullptr, &bias, nullptr},
                       {{0, 0, rows, &on_q, 2.0f},
                        {2, 0, rows, &on_v, 2.0f},
                        {0, rows / 2, rows - rows / 2, &other, -0.5f}}};
    const auto x = random_.activations(rows * 256);
    const Outputs expected = run(*reference_, c, x, 0, rows);
    const Outputs actual = run(*mlx_, c, x, 0, rows);
    // Values of up to 20 deviations, sums of 256 products and of 8 of those.
    for (std::size_t p = 0; p < 3; ++p)
      expect_near_each(actual[p], expected[p],
                       std::vector<double>(expected[p].size(), gamma(300) * 200));
  }
}

TEST_P(MlxLinearTest, BiasLoraAndDoraOnMixedRows) {
  for (const auto& [rows, adapters] : {std::pair{1, 1}, {6, 3}, {40, 9}}) {
    const MixedCase mixed(rows, adapters, random_);
    const auto x = random_.activations(rows * MixedCase::kCols);
    const Outputs actual = run(*mlx_, mixed.operands(), x, 0, rows);
    const Outputs expected = run(*reference_, mixed.operands(), x, 0, rows);
    for (std::size_t p = 0; p < actual.size(); ++p) {
      double most = 0;
      for (const float value : expected[p])
        most = std::max(most, std::abs(static_cast<double>(value)));
      // Sums of 1,088 products and of a rank's: an output may be small where its terms are not.
      expect_near_each(actual[p], expected[p],
                       std::vector<double>(actual[p].size(), gamma(1088) * 4 * most));
    }
  }
}

// One voice's infinities stay in its own rows.
TEST_P(MlxLinearTest, VoicesDoNotMix) {
  const WeightBytes weight(affine(4, 64), 16, 64, random_);
  const WeightBytes other(affine(4, 64), 16, 64, random_);
  std::vector<float> a(64 * 2, std::numeric_limits<float>::infinity()), b(16 * 2, 1.0f);
  const LoraView wild{.name = "wild",
                      .rank = 2,
                      .in_features = 64,
                      .out_features = 16,
                      .a = a.data(),
                      .b = b.data()};
  const auto loaded = mlx_->load_weight(weight.view()).value();
  const auto beside = mlx_->load_weight(other.view()).value();
  const auto pair = mlx_->load_lora(wild).value();
  const auto x = random_.normals(3 * 64);
  const DeviceTensor input(*mlx_, 3, 64, x), out(*mlx_, 3, 16), out_beside(*mlx_, 3, 16);
  const std::vector<LoraRows> lora = {{1, 1, pair.get(), 2.0f}};
  const std::vector<Projection> with = {{.weight = loaded.get(), .lora = lora, .out = out},
                                        {.weight = beside.get(), .out = out_beside}};
  mlx_->linear(input, with);
  const auto found = out.values(*mlx_), found_beside = out_beside.values(*mlx_);
  const std::vector<Projection> without = {{.weight = loaded.get(), .out = out},
                                           {.weight = beside.get(), .out = out_beside}};
  mlx_->linear(input, without);
  const auto plain = out.values(*mlx_);
  expect_same_bits(rows_of(found, 16, 0, 1), rows_of(plain, 16, 0, 1));
  expect_same_bits(rows_of(found, 16, 2, 1), rows_of(plain, 16, 2, 1));
  EXPECT_FALSE(std::isfinite(found[16]));
  expect_same_bits(rows_of(found_beside, 16, 0, 1), rows_of(out_beside.values(*mlx_), 16, 0, 1));
}

// What was made of a weight or an adapter goes with it: another at its address is another.
TEST_P(MlxLinearTest, NothingIsKeptOfWhatWasDropped) {
  const auto x = random_.normals(64);
  for (int round = 0; round < 20; ++round) {
    const WeightBytes first(affine(4, 64), 16, 64, random_), second(affine(4, 64), 8, 64, random_);
    const LoraBytes lora(4, 64, 16, random_);
    const LinearCase c{{&first, &second}, {}, {{0, 0, 1, &lora, 1.5f}}};
    const Outputs actual = run(*mlx_, c, x, 0, 1), expected = run(*reference_, c, x, 0, 1);
    for (std::size_t p = 0; p < 2; ++p)
      expect_near_each(actual[p], expected[p],
                       std::vector<double>(expected[p].size(), gamma(200) * 50));
  }
}

INSTANTIATE_TEST_SUITE_P(Ways, MlxLinearTest, testing::Bool(), way_name);

}  // namespace
}  // namespace bobby::test
