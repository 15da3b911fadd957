// Every row-wise operation of the CPU backend but linear(): against the reference, within what its
// roundings can add up to, and bit for bit alone, in company and on any number of threads.

#include <cmath>
#include <functional>

#include "backends/cpu/isa.h"
#include "cpu_fixture.h"

namespace bobby::test {
namespace {

// Rows and columns around the vectors' widths, and more rows than threads.
struct Extent {
  std::int64_t rows, cols;
};
const Extent kExtents[] = {{1, 1},  {1, 16},  {2, 7},     {3, 33},   {5, 100},
                           {1, 64}, {7, 576}, {19, 1029}, {2, 9000}, {40, 300}};

class CpuElementwiseTest : public CpuFixture {
 protected:
  /// Runs `op(backend, inputs...)` on rows together and each alone: the same bits.
  using Op = std::function<std::vector<float>(Backend&, const std::vector<float>&, std::int64_t)>;
  void expect_rows_independent(const Op& op, const std::vector<float>& x, std::int64_t rows,
                               std::int64_t cols) {
    const std::vector<float> together = op(*cpu_, x, rows);
    expect_same_bits(op(*alone_, x, rows), together);
    for (std::int64_t row = 0; row < rows; ++row)
      expect_same_bits(op(*cpu_, rows_of(x, cols, row, 1), 1), rows_of(together, cols, row, 1));
  }
};

TEST_P(CpuElementwiseTest, RmsNorm) {
  for (const auto& [rows, cols] : kExtents) {
    SCOPED_TRACE(testing::Message() << rows << " x " << cols);
    const WeightBytes bytes(dense(DType::kBF16), 1, cols, random_.normals(cols));
    const std::vector<float> x = random_.activations(rows * cols);
    const Op op = [&](Backend& backend, const std::vector<float>& input, std::int64_t count) {
      const auto weight = backend.load_weight(bytes.view()).value();
      const Tensor in(backend, count, cols, input);
      const Tensor out(backend, count, cols);
      backend.rms_norm(in, *weight, 1e-6f, out);
      std::vector<float> apart = out.values(backend);
      backend.rms_norm(in, *weight, 1e-6f, in);
      expect_same_bits(in.values(backend), apart);  // `out` may be `x`
      return apart;
    };
    const std::vector<float> expected = op(*reference_, x, rows);
    // A sum of `cols` positive terms (halved by the root), then five roundings on each side.
    std::vector<double> tolerance;
    for (const float value : expected)
      tolerance.push_back(std::abs(value) * (gamma(cols + 1) / 2 + gamma(10)));
    expect_near_each(op(*cpu_, x, rows), expected, tolerance);
    expect_rows_independent(op, x, rows, cols);
  }
}

TEST_P(CpuElementwiseTest, Swiglu) {
  for (const auto& [rows, cols] : kExtents) {
    SCOPED_TRACE(testing::Message() << rows << " x " << cols);
    const std::vector<float> gate = random_.activations(rows * cols);
    const std::vector<float> up = random_.activations(rows * cols);
    const auto run = [&](Backend& backend) {
      const Tensor g(backend, rows, cols, gate);
      const Tensor u(backend, rows, cols, up);
      const Tensor out(backend, rows, cols);
      backend.swiglu(g, u, out);
      std::vector<float> apart = out.values(backend);
      backend.swiglu(g, u, g);
      expect_same_bits(g.values(backend), apart);  // `out` may be `gate`
      return apart;
    };
    const std::vector<float> expected = run(*reference_);
    const std::vector<float> actual = run(*cpu_);
    expect_same_bits(actual, run(*alone_));
    // exp within 2 ulp = 4 units, then the sum, the quotient, the product; one in the reference.
    std::vector<double> tolerance;
    for (const float value : expected)
      tolerance.push_back(std::abs(value) * gamma(8) + std::numeric_limits<float>::denorm_min());
    expect_near_each(actual, expected, tolerance);
    // An element's bits do not depend on where it stands.
    const std::int64_t last = rows * cols - 1;
    const Tensor one(*cpu_, 1, 1);
    cpu_->swiglu(Tensor(*cpu_, 1, 1, {gate[static_cast<std::size_t>(last)]}),
                 Tensor(*cpu_, 1, 1, {up[static_cast<std::size_t>(last)]}), one);
    expect_same_bits(one.values(*cpu_), {actual.back()});
  }
}

TEST_P(CpuElementwiseTest, SwigluAtTheEnds) {
  const float infinity = std::numeric_limits<float>::infinity();
  const std::vector<float> gate = {0.0f, -0.0f, 1000.0f, -1000.0f, -89.0f, 3e38f, -3e38f, infinity};
  const auto cols = static_cast<std::int64_t>(gate.size());
  const Tensor out(*cpu_, 1, cols);
  cpu_->swiglu(Tensor(*cpu_, 1, cols, gate),
               Tensor(*cpu_, 1, cols, std::vector<float>(gate.size(), 1.0f)), out);
  const std::vector<float> got = out.values(*cpu_);
  EXPECT_EQ(got[0], 0.0f);
  EXPECT_EQ(got[1], 0.0f);
  EXPECT_EQ(got[2], 1000.0f);
  EXPECT_EQ(got[3], 0.0f);
  EXPECT_NEAR(got[4], 0.0, 1e-36);
  EXPECT_EQ(got[5], 3e38f);
  EXPECT_EQ(got[6], 0.0f);
  EXPECT_EQ(got[7], infinity);
  const Tensor nan(*cpu_, 1, 1, {std::numeric_limits<float>::quiet_NaN()});
  cpu_->swiglu(nan, Tensor(*cpu_, 1, 1, {1.0f}), nan);
  EXPECT_TRUE(std::isnan(nan.values(*cpu_)[0]));
}

TEST_P(CpuElementwiseTest, ExpWithinTwoUlp) {
  const cpu::CpuOps& ops = cpu::ops_for(std::get<0>(GetParam()));
  std::vector<float> x;
  for (int i = 0; i < 100000; ++i) x.push_back(-104.0f + 193.0f * static_cast<float>(i) / 100000);
  for (int i = 0; i < 20000; ++i) x.push_back(random_.normal(1e-3f));
  std::vector<float> y(x.size());
  ops.exp(x.data(), static_cast<std::int64_t>(x.size()), y.data());
  double worst = 0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    const double exact = std::exp(static_cast<double>(x[i]));
    if (exact > std::numeric_limits<float>::max()) {
      ASSERT_EQ(y[i], std::numeric_limits<float>::infinity()) << x[i];
      continue;
    }
    const auto rounded = static_cast<float>(exact);
    const double ulp = std::nextafter(rounded, HUGE_VALF) - static_cast<double>(rounded);
    worst = std::max(worst, std::abs(y[i] - exact) / ulp);
    ASSERT_LE(std::abs(y[i] - exact), 2 * ulp) << "exp(" << x[i] << ") = " << y[i];
  }
  RecordProperty("worst_ulp", std::to_string(worst));
  const float ends[] = {-HUGE_VALF, HUGE_VALF, 0.0f, NAN};
  float at_ends[4];
  ops.exp(ends, 4, at_ends);
  EXPECT_EQ(at_ends[0], 0.0f);
  EXPECT_EQ(at_ends[1], HUGE_VALF);
  EXPECT_EQ(at_ends[2], 1.0f);
  EXPECT_TRUE(std::isnan(at_ends[3]));
}

TEST_P(CpuElementwiseTest, AddAndSelectRowsAreExact) {
  for (const auto& [rows, cols] : kExtents) {
    const std::vector<float> x = random_.activations(rows * cols);
    const std::vector<float> y = random_.activations(rows * cols);
    std::vector<std::int32_t> wanted;
    for (int i = 0; i < 11; ++i) wanted.push_back(static_cast<std::int32_t>(random_.integer(rows)));
    const auto run = [&](Backend& backend) {
      const Tensor sum(backend, rows, cols, x);
      const Tensor selected(backend, 11, cols);
      backend.add(sum, Tensor(backend, rows, cols, y));
      backend.select_rows(sum, wanted, selected);
      return selected.values(backend);
    };
    expect_same_bits(run(*cpu_), run(*reference_));
  }
}

TEST_P(CpuElementwiseTest, EmbedInEveryFormat) {
  constexpr std::int64_t kVocab = 37;
  constexpr std::int64_t kHidden = 384;
  constexpr std::int64_t kRank = 5;
  const LoraBytes first(kRank, kVocab, kHidden, random_);
  const LoraBytes second(kRank, kVocab, kHidden, random_);
  std::vector<std::int32_t> tokens;
  for (int i = 0; i < 9; ++i) tokens.push_back(static_cast<std::int32_t>(random_.integer(kVocab)));
  for (const WeightFormat& format : all_formats()) {
    SCOPED_TRACE(format.to_string());
    const WeightBytes table(format, kVocab, kHidden, random_, 1);
    const auto run = [&](Backend& backend, bool with_lora) {
      const auto weight = backend.load_weight(table.view()).value();
      const auto one = backend.load_lora(first.view()).value();
      const auto two = backend.load_lora(second.view()).value();
      const std::vector<LoraRows> lora = {
          {.row_begin = 0, .row_count = 9, .lora = one.get(), .scale = 2.0f},
          {.row_begin = 3, .row_count = 4, .lora = two.get(), .scale = -0.7f}};
      const Tensor out(backend, 9, kHidden);
      backend.embed(*weight, tokens, with_lora ? lora : std::vector<LoraRows>(), out);
      return out.values(backend);
    };
    expect_same_bits(run(*cpu_, false), run(*reference_, false));
    const std::vector<float> expected = run(*reference_, true);
    // |B| <= 5 * 0.3, |A| <= 5 / sqrt(37): rank + 2 roundings of at most that, for each pair.
    const double largest = kRank * 1.5 * 5 / std::sqrt(37.0) * (2.0 + 0.7) + 5;
    expect_near_each(run(*cpu_, true), expected,
                     std::vector<double>(expected.size(), gamma(kRank + 4) * largest));
    expect_same_bits(run(*cpu_, true), run(*alone_, true));
  }
}

INSTANTIATE_TEST_SUITE_P(Cpu, CpuElementwiseTest, every_cpu(), cpu_param_name);

}  // namespace
}  // namespace bobby::test
