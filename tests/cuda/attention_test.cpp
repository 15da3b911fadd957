// RoPE, the KV cache and attention of the CUDA backend: against the reference over scattered
// blocks, and bit for bit alone, in company and in chunks.

#include "cuda/cuda_fixture.h"
#include "unit/backends/attention_case.h"

namespace bobby::test {
namespace {

class CudaAttentionTest : public CudaFixture {
 protected:
  void use(const HeadShape& shape) { case_.use(shape, random_); }
  Stream stream(std::int64_t tokens) { return case_.stream(tokens, random_); }
  AttentionRun run(Backend& backend) const { return AttentionRun(backend, case_); }

  AttentionCase case_;
};

TEST_F(CudaAttentionTest, MatchesReference) {
  for (const HeadShape& shape : kHeadShapes) {
    SCOPED_TRACE(testing::Message()
                 << shape.heads << "/" << shape.kv_heads << " heads of " << shape.head_dim
                 << ", format " << static_cast<int>(shape.format));
    use(shape);
    const Stream one = stream(1), two = stream(37), three = stream(150);
    AttentionRun reference = run(*reference_), cuda = run(*cuda_);
    const std::vector<std::vector<Part>> steps = {{{&two, 0, 30}, {&three, 0, 145}},
                                                  {{&three, 145, 5}, {&one, 0, 1}, {&two, 30, 7}}};
    for (const auto& parts : steps) {
      const auto expected = reference.step(parts);
      const auto actual = cuda.step(parts);
      const double rope_error = shape.qk_norm ? gamma(shape.head_dim + 16) : 0.0;
      expect_near_each(
          actual.q, expected.q,
          std::vector<double>(actual.q.size(), rope_error * AttentionCase::largest(expected.q)));
      expect_near_each(
          actual.k, expected.k,
          std::vector<double>(actual.k.size(), rope_error * AttentionCase::largest(expected.k)));
      const double most =
          std::max(AttentionCase::largest(two.v),
                   std::max(AttentionCase::largest(one.v), AttentionCase::largest(three.v)));
      expect_near_each(
          actual.out, expected.out,
          std::vector<double>(actual.out.size(), case_.tolerance(expected, most, 150)));
    }
  }
}

TEST_F(CudaAttentionTest, SameBitsAloneInCompanyAndInChunks) {
  for (const HeadShape& shape : kHeadShapes) {
    SCOPED_TRACE(testing::Message()
                 << shape.heads << "/" << shape.kv_heads << " heads of " << shape.head_dim);
    use(shape);
    const std::int64_t cols = shape.heads * shape.head_dim;
    const Stream main = stream(153), other = stream(290), third = stream(3);
    const auto expected = run(*cuda_).step({{&main, 0, 153}}).out;
    AttentionRun company = run(*cuda_);
    const auto mixed = company.step({{&other, 0, 290}, {&main, 0, 153}, {&third, 0, 3}}).out;
    expect_same_bits(rows_of(mixed, cols, 290, 153), expected);
    // More than 64 rows at once are a prompt's, which may have a kernel of its own.
    AttentionRun few = run(*cuda_);
    std::vector<float> decoded;
    for (const std::int64_t held : {0, 51, 102}) {
      const auto out = few.step({{&main, held, 51}}).out;
      decoded.insert(decoded.end(), out.begin(), out.end());
    }
    const bool own_kernel =
        shape.format == KvFormat::kF16 && (shape.head_dim == 64 || shape.head_dim == 128);
    if (!own_kernel) expect_same_bits(decoded, expected);
    AttentionRun chunks = run(*cuda_);
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
  AttentionRun cuda = run(*cuda_), reference = run(*reference_);
  EXPECT_EQ(cuda.kv().saturated(), 0u);
  const auto actual = cuda.step({{&s, 0, 30}}).out;
  EXPECT_EQ(cuda.kv().saturated(), beyond);
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
    const auto expected = run(*cuda_).step({{&first, 0, 24}, {&second, 0, 24}}).out;
    AttentionRun copied = run(*cuda_);
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
    const auto expected = run(*cuda_).step({{&first, 0, 24}}).out;
    AttentionRun source = run(*cuda_), target = run(*cuda_);
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
        EXPECT_EQ(run(*cuda_).step({{&s, 0, 1}}).out, run(*reference_).step({{&s, 0, 1}}).out);
      }
}

}  // namespace
}  // namespace bobby::test
