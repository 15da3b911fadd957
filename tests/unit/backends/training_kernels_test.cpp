// The kernels of training on every instruction set of this machine: against the double ones, the
// plain definition of the formats, and themselves in other company.

#include "backend_fixture.h"
#include "backends/cpu/cpu.h"
#include "backends/cpu/training/kernels.h"
#include "backends/cpu/training/products.h"
#include "base/thread_pool.h"

namespace bobby::test {
namespace {

using cpu::Matrix;
using cpu::Product;
using Kernels = cpu::TrainingKernels<float>;

const Kernels& kernels_of(CpuIsa isa) {
#if defined(__x86_64__)
  if (isa == CpuIsa::kAvx2) return cpu::kAvx2Training;
  if (isa != CpuIsa::kPortable) return cpu::kAvx512Training;
#elif defined(__aarch64__)
  if (isa != CpuIsa::kPortable) return cpu::kNeonTraining;
#endif
  return cpu::kPortableTraining;
}

class TrainingKernelsTest : public ::testing::TestWithParam<CpuIsa> {
 protected:
  const Kernels& kernels_ = kernels_of(GetParam());
  Random random_{5};

  std::vector<float> product(const std::vector<float>& a, const std::vector<float>& b,
                             std::int64_t rows, std::int64_t depth, std::int64_t cols) {
    std::vector<float> c(static_cast<std::size_t>(rows * cols), 1e30f);
    kernels_.multiply({.a = a.data(),
                       .a_row_stride = depth,
                       .b = b.data(),
                       .b_stride = cols,
                       .c = c.data(),
                       .c_stride = cols,
                       .rows = rows,
                       .cols = cols,
                       .depth = depth});
    return c;
  }

  QuantizedWeight quantized(int bits, int group_size, std::int64_t rows, std::int64_t cols) {
    const std::vector<float> values = random_.normals(rows * cols, 0.1f);
    return quantize({.name = "weight",
                     .format = dense(DType::kF32),
                     .rows = rows,
                     .cols = cols,
                     .weight = reinterpret_cast<const std::byte*>(values.data())},
                    bits, group_size)
        .value();
  }
};

TEST_P(TrainingKernelsTest, ProductsOfOddSizes) {
  for (const std::int64_t rows : {1, 12, 17})
    for (const std::int64_t cols : {1, 16, 33, 70})
      for (const std::int64_t depth : {1, 64, 769}) {
        const std::vector<float> a = random_.activations(rows * depth);
        const std::vector<float> b = random_.normals(depth * cols);
        const std::vector<float> c = product(a, b, rows, depth, cols);
        for (std::int64_t i = 0; i < rows; ++i)
          for (std::int64_t j = 0; j < cols; ++j) {
            double sum = 0;
            double size = 0;
            for (std::int64_t k = 0; k < depth; ++k) {
              const double one = static_cast<double>(a[static_cast<std::size_t>(i * depth + k)]) *
                                 b[static_cast<std::size_t>(k * cols + j)];
              sum += one;
              size += std::abs(one);
            }
            ASSERT_NEAR(c[static_cast<std::size_t>(i * cols + j)], sum, gamma(depth + 1) * size)
                << rows << " x " << depth << " x " << cols;
          }
      }
}

TEST_P(TrainingKernelsTest, ARowIsTheSameInAnyCompany) {
  constexpr std::int64_t kDepth = 1000;
  constexpr std::int64_t kCols = 45;
  const std::vector<float> a = random_.activations(29 * kDepth);
  const std::vector<float> b = random_.normals(kDepth * kCols);
  const std::vector<float> all = product(a, b, 29, kDepth, kCols);
  for (std::int64_t begin = 0; begin < 29; ++begin)
    for (const std::int64_t rows : {1, 2, 13}) {
      if (begin + rows > 29) continue;
      const std::vector<float> part(a.begin() + begin * kDepth, a.end());
      EXPECT_EQ(
          product(part, b, rows, kDepth, kCols),
          std::vector<float>(all.begin() + begin * kCols, all.begin() + (begin + rows) * kCols));
    }
}

TEST_P(TrainingKernelsTest, FusedInstructionSetsAgreeToTheBit) {
  if (GetParam() == CpuIsa::kPortable) GTEST_SKIP() << "multiplies and adds in two roundings";
  constexpr std::int64_t kDepth = 900;
  constexpr std::int64_t kCols = 45;
  const std::vector<float> a = random_.activations(13 * kDepth);
  const std::vector<float> b = random_.normals(kDepth * kCols);
  std::vector<float> expected(13 * kCols);
  for (std::int64_t i = 0; i < 13; ++i)
    for (std::int64_t j = 0; j < kCols; ++j) {
      float total = 0;
      for (std::int64_t begin = 0; begin < kDepth; begin += cpu::kDepthBlock) {
        float sum = 0;
        for (std::int64_t k = begin; k < std::min(begin + cpu::kDepthBlock, kDepth); ++k)
          sum = std::fma(a[static_cast<std::size_t>(i * kDepth + k)],
                         b[static_cast<std::size_t>(k * kCols + j)], sum);
        total = begin == 0 ? sum : total + sum;
      }
      expected[static_cast<std::size_t>(i * kCols + j)] = total;
    }
  EXPECT_EQ(product(a, b, 13, kDepth, kCols), expected);
}

TEST_P(TrainingKernelsTest, DequantizesAsThePlainDefinition) {
  constexpr std::int64_t kRows = 5;
  constexpr std::int64_t kCols = 256;
  for (const int bits : kAffineBits)
    for (const int group_size : kAffineGroupSizes) {
      const QuantizedWeight weight = quantized(bits, group_size, kRows, kCols);
      std::vector<float> row(kCols);
      for (const std::int64_t col : {0, 32, 96})
        for (const std::int64_t cols : {32, 160}) {
          std::vector<float> tile(static_cast<std::size_t>(3 * cols));
          kernels_.dequantize(cpu::tile_of(weight.view(), 1, 3, col, cols), tile.data(), cols);
          for (std::int64_t r = 0; r < 3; ++r) {
            dequantize_row(weight.view(), 1 + r, row.data());
            EXPECT_TRUE(
                std::equal(row.begin() + col, row.begin() + col + cols, tile.begin() + r * cols))
                << bits << " bits, group " << group_size << ", column " << col;
          }
        }
    }
}

TEST_P(TrainingKernelsTest, WidensDenseWeights) {
  constexpr std::int64_t kCols = 45;
  const std::vector<float> values = random_.normals(3 * kCols);
  for (const DType dtype : {DType::kF32, DType::kF16, DType::kBF16}) {
    std::vector<std::byte> stored(3 * kCols * dtype_bytes(dtype));
    narrow(dtype, values.data(), 3 * kCols, stored.data());
    const WeightView view{.name = "weight",
                          .format = dense(dtype),
                          .rows = 3,
                          .cols = kCols,
                          .weight = stored.data()};
    std::vector<float> tile(2 * 40);
    kernels_.dequantize(cpu::tile_of(view, 1, 2, 5, 40), tile.data(), 40);
    std::vector<float> row(kCols);
    for (std::int64_t r = 0; r < 2; ++r) {
      dequantize_row(view, 1 + r, row.data());
      EXPECT_TRUE(std::equal(row.begin() + 5, row.end(), tile.begin() + r * 40));
    }
  }
}

/// Each of the row kernels in fp32 beside the same in double.
TEST_P(TrainingKernelsTest, RowsAgreeWithTheDoubleOnes) {
  const auto& exact = cpu::kDoubleTraining;
  for (const std::int64_t count : {1, 5, 16, 67, 300}) {
    const auto size = static_cast<std::size_t>(count);
    const std::vector<float> x = random_.normals(count, 3.0f);
    const std::vector<float> y = random_.normals(count);
    const std::vector<float> z = random_.normals(count);
    const std::vector<double> xd(x.begin(), x.end());
    const std::vector<double> yd(y.begin(), y.end());
    const std::vector<double> zd(z.begin(), z.end());
    std::vector<float> found(size);
    std::vector<float> found2(size);
    std::vector<double> expected(size);
    std::vector<double> expected2(size);
    // Some twenty roundings of numbers up to 100, and exponentials within two units.
    const auto expect_near = [&](const auto& one, const auto& two, const char* name) {
      for (std::size_t i = 0; i < size; ++i)
        ASSERT_NEAR(one[i], two[i], 1e-5 * (1 + std::abs(two[i]))) << name << " " << i;
    };
    kernels_.swiglu(x.data(), y.data(), count, found.data());
    exact.swiglu(xd.data(), yd.data(), count, expected.data());
    expect_near(found, expected, "swiglu");
    kernels_.swiglu_backward(x.data(), y.data(), z.data(), count, found.data(), found2.data());
    exact.swiglu_backward(xd.data(), yd.data(), zd.data(), count, expected.data(),
                          expected2.data());
    expect_near(found, expected, "swiglu_backward, gate");
    expect_near(found2, expected2, "swiglu_backward, up");
    found = z;
    expected = zd;
    kernels_.rms_norm_backward(x.data(), y.data(), x.data(), count, 1e-5f, found.data());
    exact.rms_norm_backward(xd.data(), yd.data(), xd.data(), count, 1e-5, expected.data());
    expect_near(found, expected, "rms_norm_backward");
    found = x;
    expected = xd;
    float largest = 0;
    double exact_largest = 0;
    const float sum = kernels_.exponentials(found.data(), count, 0.5f, &largest);
    EXPECT_NEAR(sum, exact.exponentials(expected.data(), count, 0.5, &exact_largest),
                1e-5 * static_cast<double>(sum));
    EXPECT_FLOAT_EQ(largest, static_cast<float>(exact_largest));
    expect_near(found, expected, "exponentials");
    found2 = y;
    expected2 = yd;
    kernels_.softmax_backward(found.data(), count, 0.3f, found2.data());
    exact.softmax_backward(expected.data(), count, 0.3, expected2.data());
    for (std::size_t i = 0; i < size; ++i)
      ASSERT_NEAR(found2[i], expected2[i], 1e-5 * static_cast<double>(sum)) << i;
  }
}

TEST_P(TrainingKernelsTest, TermsAreAddedInTheirOrder) {
  ThreadPool pool(3);
  cpu::TrainingMachine<float> machine(kernels_, pool);
  constexpr std::int64_t kRows = 14;
  const QuantizedWeight weight = quantized(4, 64, 70, 128);
  const WeightView view = weight.view();
  std::vector<float> x = random_.normals(kRows * 128);
  std::vector<float> y = random_.normals(kRows * 70);
  std::vector<float> forward(kRows * 70);
  std::vector<float> back(kRows * 128);
  const std::vector<cpu::SumOfTerms<float>> sums = {
      {.out = {forward.data(), kRows, 70},
       .terms = {{.a = {x.data(), kRows, 128}, .weight = &view, .transposed = true}}},
      {.out = {back.data(), kRows, 128}, .terms = {{.a = {y.data(), kRows, 70}, .weight = &view}}}};
  cpu::multiply_panels<float>(machine, sums);
  std::vector<float> expected(kRows * 70);
  ASSERT_TRUE(quantized_matmul(x, kRows, view, true, expected));
  for (std::size_t i = 0; i < expected.size(); ++i) EXPECT_NEAR(forward[i], expected[i], 1e-4);
  expected.resize(kRows * 128);
  ASSERT_TRUE(quantized_matmul(y, kRows, view, false, expected));
  for (std::size_t i = 0; i < expected.size(); ++i) EXPECT_NEAR(back[i], expected[i], 1e-4);
}

TEST_P(TrainingKernelsTest, ManyRowsAreCutOtherwiseToTheSameBits) {
  constexpr std::int64_t kRows = 301;
  constexpr std::int64_t kDepth = 832;
  const QuantizedWeight weight = quantized(4, 64, 230, kDepth);
  const WeightView view = weight.view();
  std::vector<float> x = random_.activations(kRows * kDepth);
  const auto multiply = [&](std::int64_t begin, std::int64_t rows, int threads) {
    ThreadPool pool(threads);
    cpu::TrainingMachine<float> machine(kernels_, pool);
    std::vector<float> out(static_cast<std::size_t>(rows * 230));
    const std::vector<cpu::SumOfTerms<float>> sums = {
        {.out = {out.data(), rows, 230},
         .terms = {{.a = {x.data() + begin * kDepth, rows, kDepth},
                    .weight = &view,
                    .transposed = true}}}};
    cpu::multiply_panels<float>(machine, sums);
    return out;
  };
  const std::vector<float> all = multiply(0, kRows, 1);
  EXPECT_EQ(multiply(0, kRows, 2), all);
  EXPECT_EQ(multiply(0, kRows, 3), all);
  for (const std::int64_t begin : {0, 100, 260})
    EXPECT_EQ(multiply(begin, 41, 2), rows_of(all, 230, begin, 41));
}

TEST(SharePanels, CoversEverySumOnceAndKeepsThreadsEquallyBusy) {
  const std::vector<std::int64_t> cols = {576, 192, 200};
  for (const std::int64_t rows : {1, 512})
    for (const std::int64_t threads : {1, 2, 3, 16}) {
      const auto ranges = cpu::share_panels(cols, rows, threads);
      std::vector<std::int64_t> next(cols.size(), 0);
      for (const cpu::PanelRange& range : ranges) {
        EXPECT_EQ(range.col, next[range.sum]);
        EXPECT_LE(range.cols, cpu::kPanelsAtOnce * cpu::kPanelCols);
        next[range.sum] += range.cols;
      }
      EXPECT_EQ(next, cols);
      // Panels of the thread that has the most of them: not more than when each goes by itself.
      const auto count = static_cast<std::int64_t>(ranges.size());
      const std::int64_t panels = ranges.front().cols / cpu::kPanelCols;
      EXPECT_LE((count + threads - 1) / threads * panels, (31 + threads - 1) / threads);
    }
}

INSTANTIATE_TEST_SUITE_P(Cpu, TrainingKernelsTest, ::testing::ValuesIn(available_isas()),
                         [](const ::testing::TestParamInfo<CpuIsa>& one) {
                           std::string name(isa_name(one.param));
                           std::erase(name, '-');
                           return name;
                         });

}  // namespace
}  // namespace bobby::test
