// linear() of the CUDA backend: every format against the reference, within what q15 activations and
// fp32 sums allow, and bit for bit alone or in company, whichever kernel that takes.

#include "cuda/cuda_fixture.h"
#include "unit/backends/linear_case.h"

namespace bobby::test {
namespace {

/// Bound on |cuda - reference|. Activations: half a step (of 16383) of the group's largest. fp32: a
/// lane's chunks (two roundings each), the tree over 32 lanes, the tree of a chunk's sum, scale *
/// x_scale, the integer's own rounding and the reference's two; dense: a lane's columns.
double tolerance(const WeightView& view, std::int64_t row, const float* x) {
  const bool affine = view.format.kind == WeightFormat::Kind::kAffine;
  const std::int64_t group = affine ? view.format.group_size : view.cols;
  std::vector<float> w(static_cast<std::size_t>(view.cols));
  std::vector<float> bias(static_cast<std::size_t>(view.cols / group));
  dequantize_row(view, row, w.data());
  if (affine)
    widen(view.format.dtype, view.biases + row * static_cast<std::int64_t>(view.scales_row_bytes()),
          view.cols / group, bias.data());
  double quantisation = 0;
  double terms = 0;
  for (std::int64_t g = 0; g < view.cols / group; ++g) {
    double most = 0;
    for (std::int64_t i = g * group; i < (g + 1) * group; ++i)
      most = std::max(most, std::abs(static_cast<double>(x[i])));
    const double b = affine ? bias[static_cast<std::size_t>(g)] : 0.0;
    for (std::int64_t i = g * group; i < (g + 1) * group; ++i) {
      const double value = w[static_cast<std::size_t>(i)];
      quantisation += std::abs(value) * 0.505 * most / 16383;
      terms += (std::abs(value - b) + std::abs(b)) * std::abs(static_cast<double>(x[i]));
    }
  }
  if (!affine) return gamma(view.cols / 32 + 10) * terms;
  return quantisation + gamma(2 * (view.cols / 1024 + 1) + 20) * terms;
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

using CudaLinearTest = CudaFixture;

TEST_F(CudaLinearTest, EveryFormatAndShape) {
  for (const WeightFormat& format : all_formats()) {
    const int group = format.kind == WeightFormat::Kind::kDense ? 1 : format.group_size;
    for (const std::int64_t cols : {32, 64, 96, 128, 192, 576, 2176, 4224}) {
      if (cols % group != 0) continue;
      const WeightBytes weight(format, cols < 500 ? 19 : 3, cols, random_);
      const LinearCase c{{&weight}, {}, {}};
      for (const std::int64_t rows : {1, 3, 9, 18}) {
        const auto x = random_.activations(rows * cols);
        expect_close(c, x, rows, run(*cuda_, c, x, 0, rows), run(*reference_, c, x, 0, rows));
        if (HasFatalFailure()) return;
      }
    }
  }
}

// What adapters and biases add is checked alone: the difference between with and without them. A
// and B are fp32, so the rounding of sums bounds its error.
TEST_F(CudaLinearTest, BiasLoraAndDoraOnMixedRows) {
  for (const auto& [rows, adapters] : {std::pair{1, 1}, {6, 3}, {40, 9}}) {
    const MixedCase mixed(rows, adapters, random_);
    const auto x = random_.activations(rows * MixedCase::kCols);
    LinearCase base = mixed.operands();
    base.loras.clear();
    base.biases.clear();
    const Outputs base_actual = run(*cuda_, base, x, 0, rows);
    const Outputs base_expected = run(*reference_, base, x, 0, rows);
    expect_close(base, x, rows, base_actual, base_expected);
    const Outputs actual = run(*cuda_, mixed.operands(), x, 0, rows);
    const Outputs expected = run(*reference_, mixed.operands(), x, 0, rows);
    for (std::size_t p = 0; p < actual.size(); ++p) {
      const std::int64_t outputs = mixed.operands().weights[p]->view().rows;
      for (std::size_t i = 0; i < actual[p].size(); ++i) {
        const std::int64_t m = static_cast<std::int64_t>(i) / outputs;
        const std::int64_t n = static_cast<std::int64_t>(i) % outputs;
        double sizes = std::abs(expected[p][i]) + std::abs(base_expected[p][i]) + 1;
        double factor = 1;
        for (const LinearCase::Lora& lora : mixed.operands().loras) {
          if (lora.projection != p || m < lora.row_begin || m >= lora.row_begin + lora.row_count)
            continue;
          const LoraView& view = lora.bytes->view();
          const double multiplier = view.output_multiplier ? view.output_multiplier[n] : 1.0;
          for (std::int64_t r = 0; r < view.rank; ++r) {
            double ax = 0.0;
            for (std::int64_t k = 0; k < view.in_features; ++k)
              ax += std::abs(static_cast<double>(view.a[r * view.in_features + k]) *
                             x[static_cast<std::size_t>(m * view.in_features + k)]);
            sizes += std::abs(lora.scale * multiplier * view.b[n * view.rank + r]) * ax;
          }
          sizes += std::abs(multiplier - 1.0) * std::abs(base_expected[p][i]);
          factor += std::abs(multiplier - 1.0);
        }
        const double carried =
            factor * std::abs(static_cast<double>(base_actual[p][i]) - base_expected[p][i]);
        // A: columns over 256 threads and two trees; B: the rank; a few for each delta.
        const std::int64_t roundings = MixedCase::kCols / 256 + 20 + 32 + 4 * adapters;
        ASSERT_NEAR(actual[p][i], expected[p][i], carried + gamma(roundings) * sizes)
            << "projection " << p << " row " << m << " output " << n;
      }
    }
  }
}

TEST_F(CudaLinearTest, SameBitsAloneOrInCompany) {
  constexpr std::int64_t kRows = 70;
  const MixedCase mixed(kRows, 7, random_);
  const auto x = random_.activations(kRows * MixedCase::kCols);
  const Outputs together = run(*cuda_, mixed.operands(), x, 0, kRows);
  for (const auto& [begin, rows] :
       {std::pair{0, 1}, {69, 1}, {33, 1}, {1, 2}, {3, 8}, {20, 9}, {30, 16}, {11, 17}, {5, 33}}) {
    const Outputs some = run(*cuda_, mixed.operands(), x, begin, rows);
    for (std::size_t p = 0; p < some.size(); ++p)
      expect_same_bits(some[p],
                       rows_of(together[p], mixed.operands().weights[p]->view().rows, begin, rows));
    if (HasFatalFailure()) FAIL() << begin << ", " << rows << " rows";
  }
}

TEST_F(CudaLinearTest, SameBitsAloneOrInCompanyInEveryFormat) {
  constexpr std::int64_t kRows = 37;
  constexpr std::int64_t kCols = 128 * 37;  // not a whole number of rounds of 32 chunks
  for (const WeightFormat& format : all_formats()) {
    const WeightBytes weight(format, 21, kCols, random_);
    const LinearCase c{{&weight}, {}, {}};
    const auto x = random_.activations(kRows * kCols);
    const Outputs together = run(*cuda_, c, x, 0, kRows);
    for (const auto& [begin, rows] : {std::pair{0, 1}, {36, 1}, {4, 5}, {4, 12}}) {
      expect_same_bits(run(*cuda_, c, x, begin, rows)[0], rows_of(together[0], 21, begin, rows));
      if (HasFatalFailure()) FAIL() << format.to_string();
    }
  }
}

// More rows than the scratch memory holds at once.
TEST_F(CudaLinearTest, ManyRows) {
  constexpr std::int64_t kRows = 1100;
  const WeightBytes first(affine(4, 64), 40, 256, random_), second(affine(8, 32), 7, 256, random_);
  const LinearCase c{{&first, &second}, {}, {}};
  const auto x = random_.activations(kRows * 256);
  const Outputs all = run(*cuda_, c, x, 0, kRows);
  expect_close(c, x, kRows, all, run(*reference_, c, x, 0, kRows));
  const Outputs last = run(*cuda_, c, x, kRows - 1, 1);
  for (std::size_t p = 0; p < 2; ++p)
    expect_same_bits(last[p], rows_of(all[p], c.weights[p]->view().rows, kRows - 1, 1));
}

}  // namespace
}  // namespace bobby::test
