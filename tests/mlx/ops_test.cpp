// The row-wise operations of the MLX backend against the reference, and what the backend says.

#include "mlx/mlx_fixture.h"

namespace bobby::test {
namespace {

class MlxOpsTest : public MlxFixture {};

struct Extent {
  std::int64_t rows, cols;
};
const Extent kExtents[] = {{1, 1},  {1, 16},  {2, 7},     {3, 33},   {5, 100},
                           {1, 64}, {7, 576}, {19, 1029}, {2, 9000}, {40, 300}};

TEST_P(MlxOpsTest, RmsNorm) {
  for (const auto& [rows, cols] : kExtents) {
    SCOPED_TRACE(testing::Message() << rows << " x " << cols);
    const WeightBytes bytes(dense(DType::kBF16), 1, cols, random_.normals(cols));
    const std::vector<float> x = random_.activations(rows * cols);
    const auto run = [&](Backend& backend) {
      const auto weight = backend.load_weight(bytes.view()).value();
      const DeviceTensor in(backend, rows, cols, x), out(backend, rows, cols);
      backend.rms_norm(in, *weight, 1e-6f, out);
      std::vector<float> apart = out.values(backend);
      backend.rms_norm(in, *weight, 1e-6f, in);
      expect_same_bits(in.values(backend), apart);  // `out` may be `x`
      return apart;
    };
    const auto expected = run(*reference_);
    std::vector<double> limits;  // a sum of cols squares in any order, a root of 4 ulp, products
    for (const float value : expected)
      limits.push_back(std::abs(value) * (gamma(cols) / 2 + gamma(10)));
    expect_near_each(run(*mlx_), expected, limits);
  }
}

TEST_P(MlxOpsTest, SwigluAddAndSelectRows) {
  for (const auto& [rows, cols] : kExtents) {
    SCOPED_TRACE(testing::Message() << rows << " x " << cols);
    const auto gate = random_.activations(rows * cols);
    const auto up = random_.activations(rows * cols);
    std::vector<std::int32_t> picked;
    for (int i = 0; i < 5; ++i) picked.push_back(static_cast<std::int32_t>(random_.integer(rows)));
    std::vector<std::int32_t> every(static_cast<std::size_t>(rows));
    std::iota(every.begin(), every.end(), 0);
    const auto run = [&](Backend& backend) {
      const DeviceTensor g(backend, rows, cols, gate), u(backend, rows, cols, up);
      const DeviceTensor out(backend, rows, cols), some(backend, 5, cols), one(backend, 1, cols);
      backend.swiglu(g, u, out);
      std::vector<std::vector<float>> results = {out.values(backend)};
      backend.add(g, u);
      results.push_back(g.values(backend));
      backend.select_rows(g, picked, some);
      results.push_back(some.values(backend));
      backend.select_rows(g, std::span(picked).first(1), one);
      results.push_back(one.values(backend));
      backend.select_rows(g, every, out);
      results.push_back(out.values(backend));
      return results;
    };
    const auto expected = run(*reference_);
    const auto actual = run(*mlx_);
    // exp by range reduction: an ulp of its argument, and 4 of its own; then the sum, the quotient,
    // the products.
    std::vector<double> limits;
    for (std::size_t i = 0; i < gate.size(); ++i)
      limits.push_back(std::abs(expected[0][i]) *
                           (gamma(12) + 2 * kUnit * std::abs(static_cast<double>(gate[i]))) +
                       std::numeric_limits<float>::min());
    expect_near_each(actual[0], expected[0], limits);
    for (std::size_t i = 1; i < expected.size(); ++i) expect_same_bits(actual[i], expected[i]);
  }
}

TEST_P(MlxOpsTest, SwigluAtTheEnds) {
  const float infinity = std::numeric_limits<float>::infinity();
  const std::vector<float> gate = {0.0f, -0.0f, 1000.0f, -1000.0f, 3e38f, -3e38f, infinity};
  const std::vector<float> expected = {0.0f, 0.0f, 1000.0f, 0.0f, 3e38f, 0.0f, infinity};
  const DeviceTensor out(*mlx_, 1, 7);
  mlx_->swiglu(DeviceTensor(*mlx_, 1, 7, gate),
               DeviceTensor(*mlx_, 1, 7, std::vector<float>(7, 1.0f)), out);
  EXPECT_EQ(out.values(*mlx_), expected);
}

// What one operation writes of an activation, another reads of its rows.
TEST_P(MlxOpsTest, RowsOfAnActivation) {
  const auto values = random_.normals(6 * 8);
  const DeviceTensor x(*mlx_, 6, 8, values), y(*mlx_, 6, 8);
  const std::vector<std::int32_t> every = {0, 1, 2, 3, 4, 5};
  mlx_->select_rows(x, every, y);
  mlx_->add(Activation(y).slice(2, 3), Activation(x).slice(1, 3));
  std::vector<float> expected = values;
  for (std::size_t i = 0; i < 24; ++i) expected[16 + i] += values[8 + i];
  EXPECT_EQ(y.values(*mlx_), expected);
  std::vector<float> row(8);
  ASSERT_TRUE(mlx_->copy_out(Activation(y).slice(4, 1), row));
  EXPECT_EQ(row, rows_of(expected, 8, 4, 1));
}

TEST_P(MlxOpsTest, EmbedInEveryFormat) {
  constexpr std::int64_t kVocab = 37;
  constexpr std::int64_t kHidden = 384;
  constexpr std::int64_t kRank = 5;
  const LoraBytes first(kRank, kVocab, kHidden, random_), second(kRank, kVocab, kHidden, random_);
  for (const std::int64_t rows : {1, 9}) {
    std::vector<std::int32_t> tokens;
    for (std::int64_t i = 0; i < rows; ++i)
      tokens.push_back(static_cast<std::int32_t>(random_.integer(kVocab)));
    for (const WeightFormat& format : all_formats()) {
      SCOPED_TRACE(format.to_string());
      const WeightBytes table(format, kVocab, kHidden, random_, 1);
      const auto run = [&](Backend& backend, bool with_lora) {
        const auto weight = backend.load_weight(table.view()).value();
        const auto one = backend.load_lora(first.view()).value();
        const auto two = backend.load_lora(second.view()).value();
        const std::vector<LoraRows> lora = {{0, rows, one.get(), 2.0f},
                                            {rows / 3, rows - rows / 3, two.get(), -0.7f}};
        const DeviceTensor out(backend, rows, kHidden);
        backend.embed(*weight, tokens, with_lora ? lora : std::vector<LoraRows>(), out);
        return out.values(backend);
      };
      // scale * q + bias, with one rounding or two: q < 256, and the bias is the largest of them.
      const auto plain = run(*reference_, false);
      expect_near_each(run(*mlx_, false), plain, std::vector<double>(plain.size(), 2 * kUnit));
      const auto expected = run(*reference_, true);
      // |B| <= 5 * 0.3, |A| <= 5 / sqrt(37): rank + 2 roundings of at most that, for each pair.
      const double most = kRank * 1.5 * 5 / std::sqrt(37.0) * (2.0 + 0.7) + 5;
      expect_near_each(run(*mlx_, true), expected,
                       std::vector<double>(expected.size(), gamma(kRank + 6) * most));
    }
  }
}

TEST_P(MlxOpsTest, SupportsEveryFormatAndNamesTheOthers) {
  for (const WeightFormat& format : all_formats())
    EXPECT_TRUE(mlx_->supports(format)) << format.to_string();
  for (const WeightFormat& format : {affine(7, 64), affine(4, 16), dense(DType::kI32)}) {
    const auto answer = mlx_->supports(format);
    ASSERT_FALSE(answer) << format.to_string();
    EXPECT_EQ(answer.error().code, ErrorCode::kUnsupported);
  }
}

TEST_P(MlxOpsTest, TooMuchMemoryIsAnErrorAndNothingElse) {
  const auto buffer = mlx_->allocate(std::size_t{1} << 60);
  ASSERT_FALSE(buffer);
  EXPECT_EQ(buffer.error().code, ErrorCode::kLimit);
  const auto kv = mlx_->allocate_kv(
      {.layers = 2, .num_key_value_heads = 8, .head_dim = 128, .blocks = std::int64_t{1} << 50});
  ASSERT_FALSE(kv);
  EXPECT_EQ(kv.error().code, ErrorCode::kLimit);
  EXPECT_TRUE(mlx_->sync());
}

TEST(MlxDeviceTest, SaysWhereItRuns) {
  const auto cpu = make_mlx_backend({.device = MlxOptions::Device::kCpu});
  ASSERT_TRUE(cpu) << cpu.error().to_string();
  EXPECT_EQ((*cpu)->name(), "mlx");
  EXPECT_NE((*cpu)->description().find("on CPU"), std::string::npos) << (*cpu)->description();
  if (const auto gpu = make_mlx_backend({.device = MlxOptions::Device::kGpu}); !gpu) {
    EXPECT_EQ(gpu.error().code, ErrorCode::kUnsupported);
    EXPECT_NE(gpu.error().to_string().find("mlx:cpu"), std::string::npos);
  }
}

INSTANTIATE_TEST_SUITE_P(Ways, MlxOpsTest, testing::Bool(), way_name);

}  // namespace
}  // namespace bobby::test
