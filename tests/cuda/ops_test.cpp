// The row-wise operations of the CUDA backend against the reference, and what the backend says.

#include "cuda/cuda_fixture.h"

namespace bobby::test {
namespace {

using CudaOpsTest = CudaFixture;

struct Extent {
  std::int64_t rows, cols;
};
const Extent kExtents[] = {{1, 1},  {1, 16},  {2, 7},     {3, 33},   {5, 100},
                           {1, 64}, {7, 576}, {19, 1029}, {2, 9000}, {40, 300}};

TEST_F(CudaOpsTest, RmsNorm) {
  for (const auto& [rows, cols] : kExtents) {
    SCOPED_TRACE(testing::Message() << rows << " x " << cols);
    const WeightBytes bytes(dense(DType::kBF16), 1, cols, random_.normals(cols));
    const std::vector<float> x = random_.activations(rows * cols);
    const auto run = [&](Backend& backend, std::int64_t begin, std::int64_t count) {
      const auto weight = backend.load_weight(bytes.view()).value();
      const DeviceTensor in(backend, count, cols, rows_of(x, cols, begin, count));
      const DeviceTensor out(backend, count, cols);
      backend.rms_norm(in, *weight, 1e-6f, out);
      std::vector<float> apart = out.values(backend);
      backend.rms_norm(in, *weight, 1e-6f, in);
      expect_same_bits(in.values(backend), apart);  // `out` may be `x`
      return apart;
    };
    const auto expected = run(*reference_, 0, rows);
    const auto actual = run(*cuda_, 0, rows);
    std::vector<double> limits;
    for (const float value : expected)
      limits.push_back(std::abs(value) * (gamma(cols / 1024 + 40) / 2 + gamma(10)));
    expect_near_each(actual, expected, limits);
    expect_same_bits(run(*cuda_, rows - 1, 1), rows_of(actual, cols, rows - 1, 1));
  }
}

TEST_F(CudaOpsTest, SwigluAddAndSelectRows) {
  for (const auto& [rows, cols] : kExtents) {
    SCOPED_TRACE(testing::Message() << rows << " x " << cols);
    const auto gate = random_.activations(rows * cols);
    const auto up = random_.activations(rows * cols);
    std::vector<std::int32_t> picked;
    for (int i = 0; i < 5; ++i) picked.push_back(static_cast<std::int32_t>(random_.integer(rows)));
    const auto run = [&](Backend& backend) {
      const DeviceTensor g(backend, rows, cols, gate), u(backend, rows, cols, up);
      const DeviceTensor out(backend, rows, cols), some(backend, 5, cols);
      backend.swiglu(g, u, out);
      std::vector<std::vector<float>> results = {out.values(backend)};
      backend.add(g, u);
      results.push_back(g.values(backend));
      backend.select_rows(g, picked, some);
      results.push_back(some.values(backend));
      return results;
    };
    const auto expected = run(*reference_);
    const auto actual = run(*cuda_);
    std::vector<double> limits;  // exp within 2 ulp, then the sum, the quotient, the product
    for (const float value : expected[0])
      limits.push_back(std::abs(value) * gamma(8) + std::numeric_limits<float>::denorm_min());
    expect_near_each(actual[0], expected[0], limits);
    expect_same_bits(actual[1], expected[1]);
    expect_same_bits(actual[2], expected[2]);
  }
}

TEST_F(CudaOpsTest, SwigluAtTheEnds) {
  const float infinity = std::numeric_limits<float>::infinity();
  const std::vector<float> gate = {0.0f, -0.0f, 1000.0f, -1000.0f, 3e38f, -3e38f, infinity};
  const std::vector<float> expected = {0.0f, 0.0f, 1000.0f, 0.0f, 3e38f, 0.0f, infinity};
  const DeviceTensor out(*cuda_, 1, 7);
  cuda_->swiglu(DeviceTensor(*cuda_, 1, 7, gate),
                DeviceTensor(*cuda_, 1, 7, std::vector<float>(7, 1.0f)), out);
  EXPECT_EQ(out.values(*cuda_), expected);
}

TEST_F(CudaOpsTest, EmbedInEveryFormat) {
  constexpr std::int64_t kVocab = 37;
  constexpr std::int64_t kHidden = 384;
  constexpr std::int64_t kRank = 5;
  const LoraBytes first(kRank, kVocab, kHidden, random_), second(kRank, kVocab, kHidden, random_);
  std::vector<std::int32_t> tokens;
  for (int i = 0; i < 9; ++i) tokens.push_back(static_cast<std::int32_t>(random_.integer(kVocab)));
  for (const WeightFormat& format : all_formats()) {
    SCOPED_TRACE(format.to_string());
    const WeightBytes table(format, kVocab, kHidden, random_, 1);
    const auto run = [&](Backend& backend, bool with_lora) {
      const auto weight = backend.load_weight(table.view()).value();
      const auto one = backend.load_lora(first.view()).value();
      const auto two = backend.load_lora(second.view()).value();
      const std::vector<LoraRows> lora = {{0, 9, one.get(), 2.0f}, {3, 4, two.get(), -0.7f}};
      const DeviceTensor out(backend, 9, kHidden);
      backend.embed(*weight, tokens, with_lora ? lora : std::vector<LoraRows>(), out);
      return out.values(backend);
    };
    expect_same_bits(run(*cuda_, false), run(*reference_, false));
    const auto expected = run(*reference_, true);
    // |B| <= 5 * 0.3, |A| <= 5 / sqrt(37): rank + 2 roundings of at most that, for each pair.
    const double most = kRank * 1.5 * 5 / std::sqrt(37.0) * (2.0 + 0.7) + 5;
    expect_near_each(run(*cuda_, true), expected,
                     std::vector<double>(expected.size(), gamma(kRank + 4) * most));
  }
}

TEST_F(CudaOpsTest, SupportsEveryFormatAndNamesTheOthers) {
  for (const WeightFormat& format : all_formats())
    EXPECT_TRUE(cuda_->supports(format)) << format.to_string();
  for (const WeightFormat& format : {affine(7, 64), affine(4, 16), dense(DType::kI32)}) {
    const auto answer = cuda_->supports(format);
    ASSERT_FALSE(answer) << format.to_string();
    EXPECT_EQ(answer.error().code, ErrorCode::kUnsupported);
  }
}

TEST_F(CudaOpsTest, TooMuchMemoryIsAnErrorAndNothingElse) {
  const auto buffer = cuda_->allocate(std::size_t{1} << 60);
  ASSERT_FALSE(buffer);
  EXPECT_EQ(buffer.error().code, ErrorCode::kLimit);
  const auto kv = cuda_->allocate_kv(
      {.layers = 2, .num_key_value_heads = 8, .head_dim = 128, .blocks = std::int64_t{1} << 50});
  ASSERT_FALSE(kv);
  EXPECT_EQ(kv.error().code, ErrorCode::kLimit);
  EXPECT_TRUE(cuda_->sync());
}

TEST(CudaDeviceTest, ADeviceThatIsNotThereIsOneSentence) {
  const auto backend = make_cuda_backend({.device = 1000});
  ASSERT_FALSE(backend);
  EXPECT_EQ(backend.error().code, ErrorCode::kUnsupported);
  EXPECT_NE(backend.error().to_string().find("cuda:1000"), std::string::npos);
}

}  // namespace
}  // namespace bobby::test
