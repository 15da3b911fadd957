// LinearEngine against the reference backend: every format, instruction set and odd shape, within
// what q15 activations and fp32 sums allow; and the promise that bits do not depend on company.

#include "backend_fixture.h"
#include "backends/cpu/linear/linear.h"
#include "backends/reference/reference.h"

namespace bobby {
namespace {

using namespace test;

/// One operand set of linear() with what it needs to live.
struct Case {
  std::vector<const WeightBytes*> weights;
  std::vector<const WeightBytes*> biases;         // empty, or one for each weight (null: none)
  std::vector<std::vector<LoraRows>> loras = {};  // empty, or one for each weight
};

using Outputs = std::vector<std::vector<float>>;  // [projection][rows * out_features]

template <typename Linear>
Outputs run(const Linear& linear, const Case& c, const std::vector<float>& x, std::int64_t rows) {
  const std::int64_t cols = c.weights.front()->view().cols;
  std::vector<Weight> weights;
  std::vector<Weight> biases;
  for (const WeightBytes* weight : c.weights) weights.emplace_back(weight->view());
  for (const WeightBytes* bias : c.biases) {
    biases.emplace_back(bias != nullptr ? bias->view() : WeightView());
  }
  Outputs outputs;
  std::vector<Projection> projections;
  for (std::size_t p = 0; p < weights.size(); ++p) {
    outputs.emplace_back(static_cast<std::size_t>(rows * weights[p].rows()), -1.0f);
  }
  for (std::size_t p = 0; p < weights.size(); ++p) {
    Projection projection;
    projection.weight = &weights[p];
    if (!c.biases.empty() && c.biases[p] != nullptr) projection.bias = &biases[p];
    if (!c.loras.empty()) projection.lora = c.loras[p];
    projection.out = {outputs[p].data(), rows, weights[p].rows()};
    projections.push_back(projection);
  }
  std::vector<float> input = x;
  linear(Activation{input.data(), rows, cols}, projections);
  return outputs;
}

Outputs run_engine(cpu::LinearEngine& engine, const Case& c, const std::vector<float>& x,
                   std::int64_t rows) {
  return run([&](Activation in, auto projections) { engine.linear(in, projections); }, c, x, rows);
}

struct Kernels {
  CpuIsa isa = CpuIsa::kPortable;
  ActivationFormat activations = ActivationFormat::kQ15;
};

double level_of(ActivationFormat activations) {
  return activations == ActivationFormat::kQ15 ? 16383.0 : 127.0;
}

Outputs run_engine(Kernels kernels, int threads, const Case& c, const std::vector<float>& x,
                   std::int64_t rows) {
  ThreadPool pool(threads);
  cpu::LinearEngine engine(kernels.isa, pool, kernels.activations);
  return run_engine(engine, c, x, rows);
}

Outputs run_reference(const Case& c, const std::vector<float>& x, std::int64_t rows) {
  const auto backend = make_reference_backend();
  return run([&](Activation in, auto projections) { backend->linear(in, projections); }, c, x,
             rows);
}

/// What a row of a weight adds up to in magnitude, to bound errors with.
struct RowBounds {
  std::vector<double> weight;  // |w|
  std::vector<double> terms;   // |scale * q| + |bias|: what the fp32 sums see
};

RowBounds bounds_of(const WeightView& view, std::int64_t row) {
  RowBounds bounds;
  std::vector<float> w(static_cast<std::size_t>(view.cols));
  dequantize_row(view, row, w.data());
  for (const float value : w) bounds.weight.push_back(std::abs(value));
  bounds.terms = bounds.weight;
  if (view.format.kind == WeightFormat::Kind::kDense) return bounds;
  const std::int64_t groups = view.cols / view.format.group_size;
  std::vector<float> bias(static_cast<std::size_t>(groups));
  widen(view.format.dtype, view.biases + row * static_cast<std::int64_t>(view.scales_row_bytes()),
        groups, bias.data());
  for (std::size_t i = 0; i < w.size(); ++i) {
    const double b = bias[i / static_cast<std::size_t>(view.format.group_size)];
    bounds.terms[i] = std::abs(w[i] - b) + std::abs(b);
  }
  return bounds;
}

/// Bound on |engine - reference| for the product of one row of x with one row of a weight.
/// Activations: each x is off by at most half a step of its group (0.505: with the roundings of the
/// scale and its inverse); `level` 0: not at all. fp32: each term passes a product, the sums of its
/// accumulator (every 16th group, twice; dense every 32nd column), the fold, and the roundings of
/// scale * x_scale, H, x_sum and of the reference's own weight and result.
double tolerance(const WeightView& view, const RowBounds& bounds, const float* x, double level) {
  const bool affine = view.format.kind == WeightFormat::Kind::kAffine;
  const std::int64_t group = affine ? view.format.group_size : view.cols;
  const std::int64_t roundings = 12 + (affine ? 2 * (view.cols / group / 16 + 1) : view.cols / 32);
  double quantisation = 0.0;
  double terms = 0.0;
  for (std::int64_t g = 0; g < view.cols; g += group) {
    double largest = 0.0;
    for (std::int64_t i = g; i < g + group; ++i) {
      largest = std::max(largest, std::abs(static_cast<double>(x[i])));
    }
    for (std::int64_t i = g; i < g + group; ++i) {
      quantisation += bounds.weight[static_cast<std::size_t>(i)] * 0.505 * largest;
      terms += bounds.terms[static_cast<std::size_t>(i)] * std::abs(static_cast<double>(x[i]));
    }
  }
  return (affine && level != 0.0 ? quantisation / level : 0.0) + gamma(roundings) * terms;
}

void expect_close(const Case& c, const std::vector<float>& x, std::int64_t rows,
                  const Outputs& actual, const Outputs& expected, double level) {
  for (std::size_t p = 0; p < c.weights.size(); ++p) {
    const WeightView& view = c.weights[p]->view();
    for (std::int64_t n = 0; n < view.rows; ++n) {
      const RowBounds bounds = bounds_of(view, n);
      for (std::int64_t m = 0; m < rows; ++m) {
        const auto at = static_cast<std::size_t>(m * view.rows + n);
        ASSERT_NEAR(actual[p][at], expected[p][at],
                    tolerance(view, bounds, x.data() + m * view.cols, level))
            << view.format.to_string() << " cols " << view.cols << " row " << m << " output " << n;
      }
    }
  }
}

class LinearTest : public testing::TestWithParam<Kernels> {
 protected:
  double level() const { return level_of(GetParam().activations); }

  Random random_{7};
};

TEST_P(LinearTest, EveryFormatAndShape) {
  for (const WeightFormat& format : all_formats()) {
    const int group = format.kind == WeightFormat::Kind::kDense ? 1 : format.group_size;
    for (const std::int64_t cols : {32, 64, 96, 128, 192, 576, 1536, 2048, 2176}) {
      if (cols % group != 0) continue;
      const std::int64_t outputs = cols < 500 ? 7 : 3;
      const WeightBytes weight(format, outputs, cols, random_);
      const Case c{{&weight}, {}};
      for (const std::int64_t rows : {1, 2, 3, 7}) {
        const auto x = random_.activations(rows * cols);
        expect_close(c, x, rows, run_engine(GetParam(), 1, c, x, rows), run_reference(c, x, rows),
                     level());
        if (HasFatalFailure()) return;
      }
    }
  }
}

// Multiples of 2^-12 with level * 2^-12 in every group: the activations hold them exactly, so that
// only fp32 sums are left.
TEST_P(LinearTest, ExactActivationsLeaveOnlyTheRoundingOfSums) {
  const std::int64_t rows = 5;
  for (const WeightFormat& format : all_formats()) {
    if (format.kind == WeightFormat::Kind::kDense) continue;
    for (const std::int64_t cols : {384, 4096}) {
      const WeightBytes weight(format, 4, cols, random_);
      std::vector<float> x(static_cast<std::size_t>(rows * cols));
      for (std::size_t i = 0; i < x.size(); ++i) {
        const auto most = static_cast<std::int64_t>(level());
        const std::int64_t q = i % 32 == 5 ? -most : random_.integer(2 * most + 1) - most;
        x[i] = static_cast<float>(q) * 0x1p-12f;
      }
      const Case c{{&weight}, {}};
      expect_close(c, x, rows, run_engine(GetParam(), 1, c, x, rows), run_reference(c, x, rows),
                   0.0);
      if (HasFatalFailure()) return;
    }
  }
}

/// Three projections of one x in different formats, one with a bias, with LoRA on some rows.
class MixedCase {
 public:
  MixedCase(std::int64_t rows, Random& random) {
    const std::vector<WeightFormat> formats = {affine(4, 64), affine(6, 32, DType::kF16),
                                               dense(DType::kBF16)};
    const std::vector<std::int64_t> outputs = {131, 70, 64};
    for (std::size_t p = 0; p < formats.size(); ++p) {
      weights_.push_back(std::make_unique<WeightBytes>(formats[p], outputs[p], kCols, random));
      biases_.push_back(std::make_unique<WeightBytes>(dense(DType::kF16), 1, outputs[p], random));
      for (int i = 0; i < 3; ++i) {
        loras_.push_back(std::make_unique<LoraBytes>(i == 0 ? 8 : 5 + 8 * i, kCols, outputs[p],
                                                     random, /*dora=*/i == 1));
        lora_weights_.push_back(std::make_unique<LoraWeight>(loras_.back()->view()));
      }
      case_.weights.push_back(weights_[p].get());
      case_.biases.push_back(p == 1 ? nullptr : biases_[p].get());
      const auto lora = [&](std::size_t i) { return lora_weights_[3 * p + i].get(); };
      std::vector<LoraRows> covered = {{0, rows, lora(0), 2.0f}};  // all rows
      if (rows > 2) covered.push_back({1, rows - 2, lora(1), 0.5f});
      covered.push_back({rows - 1, 1, lora(2), -20.0f});
      case_.loras.push_back(p == 2 ? std::vector<LoraRows>() : covered);
    }
  }
  const Case& operands() const { return case_; }

  static constexpr std::int64_t kCols = 1088;

 private:
  std::vector<std::unique_ptr<WeightBytes>> weights_, biases_;
  std::vector<std::unique_ptr<LoraBytes>> loras_;
  std::vector<std::unique_ptr<LoraWeight>> lora_weights_;
  Case case_;
};

// Each LoRA's delta is checked alone: with and without it, the difference against the reference's.
// A and B are fp32, so the rounding of sums bounds its error: of A x over the columns, then of B
// over the rank, all in magnitudes; the outputs that are subtracted add a few roundings of their
// own.
TEST_P(LinearTest, BiasLoraAndDoraOnMixedRows) {
  const std::int64_t rows = 6;
  const MixedCase mixed(rows, random_);
  const auto x = random_.activations(rows * MixedCase::kCols);
  Case base = mixed.operands();
  base.loras.clear();
  base.biases.clear();
  const Outputs base_actual = run_engine(GetParam(), 2, base, x, rows);
  const Outputs base_expected = run_reference(base, x, rows);
  const Outputs actual = run_engine(GetParam(), 2, mixed.operands(), x, rows);
  const Outputs expected = run_reference(mixed.operands(), x, rows);
  for (std::size_t p = 0; p < actual.size(); ++p) {
    const std::int64_t outputs = mixed.operands().weights[p]->view().rows;
    for (std::size_t i = 0; i < actual[p].size(); ++i) {
      const std::int64_t m = static_cast<std::int64_t>(i) / outputs;
      const std::int64_t n = static_cast<std::int64_t>(i) % outputs;
      double sizes = std::abs(expected[p][i]) + std::abs(base_expected[p][i]);
      double carried = std::abs(static_cast<double>(base_actual[p][i]) - base_expected[p][i]);
      for (const LoraRows& lora : mixed.operands().loras[p]) {
        if (m < lora.row_begin || m >= lora.row_begin + lora.row_count) continue;
        const LoraView& view = lora.lora->view();
        const double multiplier = view.output_multiplier ? view.output_multiplier[n] : 1.0;
        for (std::int64_t r = 0; r < view.rank; ++r) {
          double ax = 0.0;
          for (std::int64_t k = 0; k < view.in_features; ++k) {
            ax += std::abs(static_cast<double>(view.a[r * view.in_features + k]) *
                           x[static_cast<std::size_t>(m * view.in_features + k)]);
          }
          sizes += std::abs(lora.scale * multiplier * view.b[n * view.rank + r]) * ax;
        }
        sizes += std::abs(multiplier - 1.0) * std::abs(base_expected[p][i]);
        carried *= std::max(1.0, std::abs(multiplier));
      }
      const double roundings = MixedCase::kCols / 32 + 32 / 8 + 24;
      ASSERT_NEAR(actual[p][i], expected[p][i],
                  carried + gamma(static_cast<int>(roundings)) * sizes)
          << "projection " << p << " row " << m << " output " << n;
    }
  }
}

TEST_P(LinearTest, SameBitsOnAnyThreads) {
  for (const std::int64_t rows : {1, 7}) {
    const MixedCase mixed(rows, random_);
    const auto x = random_.activations(rows * MixedCase::kCols);
    const Outputs one = run_engine(GetParam(), 1, mixed.operands(), x, rows);
    for (const int threads : {2, 3}) {
      const Outputs several = run_engine(GetParam(), threads, mixed.operands(), x, rows);
      for (std::size_t p = 0; p < one.size(); ++p) expect_same_bits(several[p], one[p]);
    }
  }
}

TEST_P(LinearTest, SameBitsAloneOrInCompany) {
  const WeightBytes quantised(affine(4, 64), 67, 1216, random_);
  const WeightBytes spread(affine(5, 32), 9, 1216, random_);
  const WeightBytes plain(dense(DType::kF16), 21, 1216, random_);
  const Case c{{&quantised, &spread, &plain}, {}};
  const auto x = random_.activations(17 * 1216);
  ThreadPool pool(2);
  cpu::LinearEngine engine(GetParam().isa, pool, GetParam().activations);
  std::vector<Outputs> alone;
  for (std::int64_t m = 0; m < 17; ++m) {
    alone.push_back(run_engine(engine, c, rows_of(x, 1216, m, 1), 1));
  }
  for (std::int64_t rows = 2; rows <= 17; ++rows) {
    const Outputs together = run_engine(engine, c, rows_of(x, 1216, 0, rows), rows);
    for (std::size_t p = 0; p < together.size(); ++p) {
      const std::int64_t outputs = c.weights[p]->view().rows;
      for (std::int64_t m = 0; m < rows; ++m) {
        expect_same_bits(rows_of(together[p], outputs, m, 1),
                         alone[static_cast<std::size_t>(m)][p]);
      }
    }
  }
}

TEST_P(LinearTest, SameBitsOnEveryInstructionSet) {
  const std::int64_t cols = 1152;  // 9 groups of 128: a tail for every group size
  for (const WeightFormat& format : all_formats()) {
    const WeightBytes weight(format, 19, cols, random_);  // more rows than one panel holds
    const Case c{{&weight}, {}};
    for (const std::int64_t rows : {1, 2, 5, 19}) {
      const auto x = random_.activations(rows * cols);
      expect_same_bits(
          run_engine(GetParam(), 1, c, x, rows)[0],
          run_engine(Kernels{CpuIsa::kPortable, GetParam().activations}, 1, c, x, rows)[0]);
      if (HasFatalFailure()) FAIL() << format.to_string() << ", " << rows << " rows";
    }
  }
  const MixedCase mixed(4, random_);
  const auto x = random_.activations(4 * MixedCase::kCols);
  const Outputs here = run_engine(GetParam(), 1, mixed.operands(), x, 4);
  const Outputs portable =
      run_engine(Kernels{CpuIsa::kPortable, GetParam().activations}, 1, mixed.operands(), x, 4);
  for (std::size_t p = 0; p < here.size(); ++p) expect_same_bits(here[p], portable[p]);
}

TEST_P(LinearTest, WeightsAtAnyAlignment) {
  for (const WeightFormat& format :
       {affine(4, 64), affine(8, 32), affine(3, 64, DType::kF16), affine(2, 32, DType::kF32),
        dense(DType::kF32), dense(DType::kBF16)}) {
    const auto values = random_.normals(5 * 352);
    const auto x = random_.activations(3 * 352);
    const std::int64_t cols = format.kind == WeightFormat::Kind::kDense ? 352 : 320;
    const auto used = std::vector<float>(values.begin(), values.begin() + 5 * cols);
    const WeightBytes aligned(format, 5, cols, used, 0);
    const Case expected{{&aligned}, {}};
    const auto in = rows_of(x, cols, 0, 3);
    const Outputs outputs = run_engine(GetParam(), 1, expected, in, 3);
    for (const std::size_t offset : {1u, 2u, 7u}) {
      const WeightBytes shifted(format, 5, cols, used, offset);
      expect_same_bits(run_engine(GetParam(), 1, {{&shifted}, {}}, in, 3)[0], outputs[0]);
    }
  }
}

// Memory kept from a larger step must not show in a smaller one.
TEST_P(LinearTest, StepsDoNotSeeEarlierOnes) {
  ThreadPool pool(2);
  cpu::LinearEngine engine(GetParam().isa, pool, GetParam().activations);
  const WeightBytes large(affine(4, 64), 40, 2048, random_);
  const WeightBytes small(affine(4, 64), 40, 576, random_);
  const auto x_large = random_.activations(9 * 2048);
  const auto x_small = random_.activations(2 * 576);
  const Case c_small{{&small}, {}};
  const Outputs fresh = run_engine(GetParam(), 1, c_small, x_small, 2);
  run_engine(engine, {{&large}, {}}, x_large, 9);
  expect_same_bits(run_engine(engine, c_small, x_small, 2)[0], fresh[0]);
}

TEST_P(LinearTest, NotANumberStaysVisible) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const float infinity = std::numeric_limits<float>::infinity();
  for (const WeightFormat& format : {affine(4, 64), affine(8, 32), affine(3, 128),
                                     affine(2, 32, DType::kF16), dense(DType::kBF16)}) {
    const WeightBytes weight(format, 6, 640, random_);
    const Case c{{&weight}, {}};
    for (const float bad : {nan, -nan, infinity, -infinity}) {
      auto x = random_.activations(3 * 640);
      const Outputs good = run_engine(GetParam(), 1, c, x, 3);
      x[640 + 639] = bad;
      const Outputs outputs = run_engine(GetParam(), 1, c, x, 3);
      for (std::size_t n = 0; n < 6; ++n) {
        EXPECT_FALSE(std::isfinite(outputs[0][6 + n])) << format.to_string() << " " << bad;
      }
      expect_same_bits(rows_of(outputs[0], 6, 0, 1), rows_of(good[0], 6, 0, 1));
      expect_same_bits(rows_of(outputs[0], 6, 2, 1), rows_of(good[0], 6, 2, 1));
    }
  }
}

TEST_P(LinearTest, ZeroTinyAndHugeActivations) {
  const WeightBytes weight(affine(4, 32), 5, 160, random_);
  const Case c{{&weight}, {}};
  for (const float size : {0.0f, 1e-42f, 1e-37f, 1e-20f, 1e30f}) {
    auto x = random_.normals(2 * 160);
    for (float& value : x) value = std::clamp(value, -4.0f, 4.0f) * size;
    const Outputs actual = run_engine(GetParam(), 1, c, x, 2);
    const Outputs expected = run_reference(c, x, 2);
    // Below 2^-100 a group's step is fixed: 2^-100 / level. The weights are below 1.
    const double floor = 160 * 0.505 * 0x1p-100 / level();
    for (std::size_t i = 0; i < actual[0].size(); ++i) {
      ASSERT_NEAR(actual[0][i], expected[0][i], floor + 160 * 4.0 * size * 0.505 * 4.0 / level());
    }
  }
}

TEST_P(LinearTest, NamesItsKernelAndWhatItDoesNotSupport) {
  ThreadPool pool(1);
  const cpu::LinearEngine engine(GetParam().isa, pool, GetParam().activations);
  EXPECT_EQ(engine.kernel_name(), isa_name(GetParam().isa));
  for (const WeightFormat& format : all_formats()) EXPECT_TRUE(engine.supports(format));
  for (const WeightFormat& format :
       {affine(7, 64), affine(4, 16), dense(DType::kI32), affine(4, 64, DType::kU8)}) {
    const auto answer = engine.supports(format);
    ASSERT_FALSE(answer);
    EXPECT_EQ(answer.error().code, ErrorCode::kUnsupported);
    EXPECT_NE(answer.error().to_string().find(format.to_string()), std::string::npos);
  }
}

std::vector<Kernels> all_kernels() {
  std::vector<Kernels> all;
  for (const CpuIsa isa : available_isas()) {
    all.push_back({isa, ActivationFormat::kQ15});
    all.push_back({isa, ActivationFormat::kInt8});
  }
  return all;
}

INSTANTIATE_TEST_SUITE_P(
    Isa, LinearTest, testing::ValuesIn(all_kernels()), [](const auto& kernels) {
      std::string name(isa_name(kernels.param.isa));
      std::erase(name, '-');
      return name + (kernels.param.activations == ActivationFormat::kQ15 ? "" : "_int8");
    });

}  // namespace
}  // namespace bobby
