// RoPE, the KV cache and attention of the CUDA backend: against the reference over scattered
// blocks, and bit for bit alone, in company and in chunks.

#include "cuda/cuda_fixture.h"

namespace bobby::test {
namespace {

struct Stream {
  std::int64_t tokens = 0;
  std::vector<float> q, k, v;
  std::vector<std::int32_t> blocks;
};

struct Part {
  const Stream* stream = nullptr;
  std::int64_t begin = 0;
  std::int64_t count = 0;
};

struct HeadShape {
  std::int64_t heads, kv_heads, head_dim, block_tokens;
  bool qk_norm;
  KvFormat format;
};

// Groups of 1, 2, 3, 4 and 8, head dimensions of whole vectors and not, blocks of any length.
const HeadShape kShapes[] = {
    {2, 2, 16, 8, false, KvFormat::kF32},    {4, 2, 64, 32, true, KvFormat::kF16},
    {9, 3, 64, 16, false, KvFormat::kF16},   {8, 2, 128, 32, true, KvFormat::kF16},
    {6, 2, 80, 5, true, KvFormat::kF32},     {4, 1, 20, 3, true, KvFormat::kF16},
    {16, 8, 128, 32, true, KvFormat::kF32},  {3, 1, 6, 1, false, KvFormat::kF16},
    {8, 2, 128, 32, false, KvFormat::kInt8}, {9, 3, 20, 5, true, KvFormat::kInt8},
    {8, 1, 256, 16, false, KvFormat::kF16},  {10, 1, 64, 7, false, KvFormat::kF32},
};
constexpr std::int64_t kBlocks = 900;

struct Output {
  std::vector<float> q, k, out;
};

class CudaAttentionTest : public CudaFixture {
 protected:
  /// A backend with a cache of its own, fed step by step.
  class Run {
   public:
    Run(Backend& backend, const CudaAttentionTest& test)
        : backend_(backend),
          shape_(test.shape_),
          norm_(backend.load_weight(test.norm_->view()).value()),
          inv_freq_(backend.load_weight(test.inv_freq_->view()).value()),
          kv_(backend
                  .allocate_kv({.layers = 2,
                                .num_key_value_heads = shape_.kv_heads,
                                .head_dim = shape_.head_dim,
                                .block_tokens = shape_.block_tokens,
                                .blocks = kBlocks,
                                .format = shape_.format})
                  .value()) {}

    Output step(const std::vector<Part>& parts) {
      std::vector<float> q, k, v;
      std::vector<SequenceRows> sequences;
      std::int64_t rows = 0;
      const std::int64_t q_cols = shape_.heads * shape_.head_dim;
      const std::int64_t kv_cols = shape_.kv_heads * shape_.head_dim;
      const auto append = [](std::vector<float>& to, const std::vector<float>& from) {
        to.insert(to.end(), from.begin(), from.end());
      };
      for (const auto& [stream, begin, count] : parts) {
        append(q, rows_of(stream->q, q_cols, begin, count));
        append(k, rows_of(stream->k, kv_cols, begin, count));
        append(v, rows_of(stream->v, kv_cols, begin, count));
        sequences.push_back({rows, count, begin, stream->blocks});
        rows += count;
      }
      const DeviceTensor queries(backend_, rows, q_cols, q), keys(backend_, rows, kv_cols, k);
      const DeviceTensor values(backend_, rows, kv_cols, v), out(backend_, rows, q_cols);
      backend_.rope_and_store({.q = queries,
                               .k = keys,
                               .v = values,
                               .q_norm = shape_.qk_norm ? norm_.get() : nullptr,
                               .k_norm = shape_.qk_norm ? norm_.get() : nullptr,
                               .rms_norm_eps = 1e-6f,
                               .inv_freq = inv_freq_.get(),
                               .sequences = sequences,
                               .kv = kv_.get(),
                               .layer = 1});
      backend_.attention({.q = queries,
                          .out = out,
                          .scale = 1 / std::sqrt(static_cast<float>(shape_.head_dim)),
                          .sequences = sequences,
                          .kv = kv_.get(),
                          .layer = 1});
      return {queries.values(backend_), keys.values(backend_), out.values(backend_)};
    }
    KvStorage& kv() { return *kv_; }

   private:
    Backend& backend_;
    HeadShape shape_;
    std::unique_ptr<Weight> norm_, inv_freq_;
    std::unique_ptr<KvStorage> kv_;
  };

  void use(const HeadShape& shape) {
    shape_ = shape;
    std::vector<float> frequencies;
    for (std::int64_t i = 0; i < shape.head_dim / 2; ++i)
      frequencies.push_back(static_cast<float>(
          std::pow(1e4, -2.0 * static_cast<double>(i) / static_cast<double>(shape.head_dim))));
    inv_freq_ =
        std::make_unique<WeightBytes>(dense(DType::kF32), 1, shape.head_dim / 2, frequencies);
    std::vector<float> norm = random_.normals(shape.head_dim, 0.2f);
    for (float& value : norm) value += 1.0f;
    norm_ = std::make_unique<WeightBytes>(dense(DType::kBF16), 1, shape.head_dim, norm);
    pool_ = std::make_unique<ScatteredBlocks>(kBlocks, random_);
  }
  Stream stream(std::int64_t tokens) {
    return {tokens, random_.normals(tokens * shape_.heads * shape_.head_dim),
            random_.normals(tokens * shape_.kv_heads * shape_.head_dim),
            random_.normals(tokens * shape_.kv_heads * shape_.head_dim),
            pool_->take(tokens, shape_.block_tokens)};
  }

  static double largest(const std::vector<float>& values) {
    double most = 0;
    for (const float value : values) most = std::max(most, std::abs(static_cast<double>(value)));
    return most;
  }
  double largest_norm(const std::vector<float>& values) const {
    double most = 0;
    for (std::size_t i = 0; i < values.size(); i += static_cast<std::size_t>(shape_.head_dim)) {
      double sum = 0;
      for (std::size_t j = i; j < i + static_cast<std::size_t>(shape_.head_dim); ++j)
        sum += static_cast<double>(values[j]) * values[j];
      most = std::max(most, std::sqrt(sum));
    }
    return most;
  }
  /// Scores: head_dim products and sums and the scaling, relative to |q||k| * scale; e^score
  /// carries that as a relative error, twice over. Then the sum over the values. With norms, k
  /// differs by a few roundings from the reference's, and so a cell now and then by one step of its
  /// own.
  double tolerance(const Output& expected, double largest_value, std::int64_t length) const {
    const double norms = shape_.qk_norm ? gamma(shape_.head_dim + 16) : 0.0;
    const double cell = !shape_.qk_norm                    ? 0.0
                        : shape_.format == KvFormat::kF16  ? 0x1p-11
                        : shape_.format == KvFormat::kInt8 ? 1.0 / 127
                                                           : 0.0;
    const double score = largest_norm(expected.q) * largest_norm(expected.k) /
                         std::sqrt(static_cast<double>(shape_.head_dim)) *
                         (gamma(shape_.head_dim + 6) + norms + cell);
    return largest_value * (2 * score + gamma(2 * length + 20));
  }

  HeadShape shape_{};
  std::unique_ptr<WeightBytes> inv_freq_, norm_;
  std::unique_ptr<ScatteredBlocks> pool_;
};

TEST_F(CudaAttentionTest, MatchesReference) {
  for (const HeadShape& shape : kShapes) {
    SCOPED_TRACE(testing::Message()
                 << shape.heads << "/" << shape.kv_heads << " heads of " << shape.head_dim
                 << ", format " << static_cast<int>(shape.format));
    use(shape);
    const Stream one = stream(1), two = stream(37), three = stream(150);
    Run reference(*reference_, *this), cuda(*cuda_, *this);
    const std::vector<std::vector<Part>> steps = {{{&two, 0, 30}, {&three, 0, 145}},
                                                  {{&three, 145, 5}, {&one, 0, 1}, {&two, 30, 7}}};
    for (const auto& parts : steps) {
      const auto expected = reference.step(parts);
      const auto actual = cuda.step(parts);
      const double rope_error = shape.qk_norm ? gamma(shape.head_dim + 16) : 0.0;
      expect_near_each(actual.q, expected.q,
                       std::vector<double>(actual.q.size(), rope_error * largest(expected.q)));
      expect_near_each(actual.k, expected.k,
                       std::vector<double>(actual.k.size(), rope_error * largest(expected.k)));
      const double most = std::max(largest(two.v), std::max(largest(one.v), largest(three.v)));
      expect_near_each(actual.out, expected.out,
                       std::vector<double>(actual.out.size(), tolerance(expected, most, 150)));
    }
  }
}

TEST_F(CudaAttentionTest, SameBitsAloneInCompanyAndInChunks) {
  for (const HeadShape& shape : kShapes) {
    SCOPED_TRACE(testing::Message()
                 << shape.heads << "/" << shape.kv_heads << " heads of " << shape.head_dim);
    use(shape);
    const std::int64_t cols = shape.heads * shape.head_dim;
    const Stream main = stream(153), other = stream(290), third = stream(3);
    const auto expected = Run(*cuda_, *this).step({{&main, 0, 153}}).out;
    Run company(*cuda_, *this);
    const auto mixed = company.step({{&other, 0, 290}, {&main, 0, 153}, {&third, 0, 3}}).out;
    expect_same_bits(rows_of(mixed, cols, 290, 153), expected);
    // More than 64 rows at once are a prompt's, which may have a kernel of its own.
    Run few(*cuda_, *this);
    std::vector<float> decoded;
    for (const std::int64_t held : {0, 51, 102}) {
      const auto out = few.step({{&main, held, 51}}).out;
      decoded.insert(decoded.end(), out.begin(), out.end());
    }
    const bool own_kernel =
        shape.format == KvFormat::kF16 && (shape.head_dim == 64 || shape.head_dim == 128);
    if (!own_kernel) expect_same_bits(decoded, expected);
    Run chunks(*cuda_, *this);
    std::int64_t held = 0;
    for (const std::int64_t count : {1, 17, 2, 131, 1, 1}) {
      const auto out = chunks.step({{&third, 0, 2}, {&main, held, count}, {&other, 0, 5}}).out;
      expect_same_bits(rows_of(out, cols, 2, count),
                       rows_of(count > 64 ? expected : decoded, cols, held, count));
      held += count;
    }
    ASSERT_EQ(held, 153);
  }
}

TEST_F(CudaAttentionTest, SaturatedHalvesAreCounted) {
  use({2, 2, 20, 4, false, KvFormat::kF16});
  Stream s = stream(30);
  for (float& value : s.k) value = 0.0f;
  std::uint64_t beyond = 0;
  for (std::size_t i = 0; i < s.v.size(); i += 7, ++beyond) s.v[i] = i % 2 == 0 ? -65505.0f : 1e9f;
  Run run(*cuda_, *this), reference(*reference_, *this);
  EXPECT_EQ(run.kv().saturated(), 0u);
  const auto actual = run.step({{&s, 0, 30}}).out;
  EXPECT_EQ(run.kv().saturated(), beyond);
  const auto expected = reference.step({{&s, 0, 30}}).out;
  expect_near_each(actual, expected, std::vector<double>(actual.size(), 65504 * gamma(64)));
}

TEST_F(CudaAttentionTest, CopiedBlocksGoOnDifferently) {
  for (const KvFormat format : {KvFormat::kF32, KvFormat::kF16, KvFormat::kInt8}) {
    use({4, 2, 16, 8, true, format});
    const Stream first = stream(24);
    Stream second = stream(24);
    std::copy_n(first.q.begin(), 13 * 64, second.q.begin());
    std::copy_n(first.k.begin(), 13 * 32, second.k.begin());
    std::copy_n(first.v.begin(), 13 * 32, second.v.begin());
    const auto expected = Run(*cuda_, *this).step({{&first, 0, 24}, {&second, 0, 24}}).out;
    Run copied(*cuda_, *this);
    copied.step({{&first, 0, 13}});
    for (std::size_t block = 0; block < 2; ++block)
      cuda_->copy_kv_block(copied.kv(), first.blocks[block], second.blocks[block]);
    expect_same_bits(copied.step({{&first, 13, 11}}).out, rows_of(expected, 64, 13, 11));
    expect_same_bits(copied.step({{&second, 13, 11}}).out, rows_of(expected, 64, 37, 11));
  }
}

TEST_F(CudaAttentionTest, BlocksTravelThroughHostMemory) {
  for (const KvFormat format : {KvFormat::kF32, KvFormat::kF16, KvFormat::kInt8}) {
    use({4, 2, 16, 8, true, format});
    const Stream first = stream(24);
    const auto expected = Run(*cuda_, *this).step({{&first, 0, 24}}).out;
    Run source(*cuda_, *this), target(*cuda_, *this);
    source.step({{&first, 0, 16}});
    std::vector<std::byte> bytes(source.kv().shape().block_bytes());
    for (std::size_t block = 0; block < 2; ++block) {
      ASSERT_TRUE(cuda_->read_kv_block(source.kv(), first.blocks[block], bytes));
      ASSERT_TRUE(cuda_->write_kv_block(target.kv(), first.blocks[block], bytes));
    }
    expect_same_bits(target.step({{&first, 16, 8}}).out, rows_of(expected, 64, 16, 8));
  }
}

// One position alone gives its value back: what the cache holds of it.
TEST_F(CudaAttentionTest, CellsAreTheReferences) {
  for (const KvFormat format : {KvFormat::kF32, KvFormat::kF16, KvFormat::kInt8})
    for (const std::int64_t dim : {2, 20, 64, 128, 130})
      for (const float size : {1.0f, 1e-30f, 1e-38f, 1e-43f, 1e3f}) {
        SCOPED_TRACE(testing::Message() << static_cast<int>(format) << " " << dim << " " << size);
        use({1, 1, dim, 1, false, format});
        Stream s = stream(1);
        for (float& value : s.v) value *= size;
        EXPECT_EQ(Run(*cuda_, *this).step({{&s, 0, 1}}).out,
                  Run(*reference_, *this).step({{&s, 0, 1}}).out);
      }
}

}  // namespace
}  // namespace bobby::test
