// RoPE, the KV cache and attention of the MLX backend against the reference, over scattered blocks.

#include "mlx/mlx_fixture.h"
#include "unit/backends/attention_case.h"

namespace bobby::test {
namespace {

class MlxAttentionTest : public MlxFixture {
 protected:
  void use(const HeadShape& shape) { case_.use(shape, random_); }
  Stream stream(std::int64_t tokens) { return case_.stream(tokens, random_); }
  AttentionRun run(Backend& backend) const { return AttentionRun(backend, case_); }

  void expect_close(const Output& actual, const Output& expected, double most,
                    std::int64_t length) {
    // MLX has no angles but from 1 / (1 / inv_freq): three more roundings of up to `length`
    // radians.
    const double angle = static_cast<double>(length) * gamma(4);
    const double rope = angle + gamma(case_.shape().head_dim + 20);
    expect_near_each(actual.q, expected.q,
                     std::vector<double>(actual.q.size(), 2 * rope * case_.largest(expected.q)));
    expect_near_each(actual.k, expected.k,
                     std::vector<double>(actual.k.size(), 2 * rope * case_.largest(expected.k)));
    const double score = case_.largest_norm(expected.q) * case_.largest_norm(expected.k) /
                         std::sqrt(static_cast<double>(case_.shape().head_dim)) * 2 * rope;
    // One row's attention works in fp16 over fp16 keys, on a GPU: q and the result are rounded.
    const double half = case_.shape().format == KvFormat::kF16 ? 0x1p-10 : 0.0;
    // A key that differs in its last bits may be kept as the next cell.
    const double cell = case_.shape().format == KvFormat::kInt8 ? 1.0 / 127 : half;
    const double cells = case_.largest_norm(expected.q) * case_.largest_norm(expected.k) /
                         std::sqrt(static_cast<double>(case_.shape().head_dim)) * cell;
    const double limit =
        case_.tolerance(expected, most, length) + most * (2 * score + 2 * cells + half);
    expect_near_each(actual.out, expected.out, std::vector<double>(actual.out.size(), limit));
  }

  AttentionCase case_;
};

TEST_P(MlxAttentionTest, MatchesReference) {
  for (const HeadShape& shape : kHeadShapes) {
    SCOPED_TRACE(testing::Message()
                 << shape.heads << "/" << shape.kv_heads << " heads of " << shape.head_dim
                 << ", format " << static_cast<int>(shape.format));
    use(shape);
    const Stream one = stream(1), two = stream(37), three = stream(150);
    AttentionRun reference = run(*reference_), mlx = run(*mlx_);
    const std::vector<std::vector<Part>> steps = {{{&two, 0, 30}, {&three, 0, 145}},
                                                  {{&three, 145, 4}, {&one, 0, 1}, {&two, 30, 6}},
                                                  {{&two, 36, 1}, {&three, 149, 1}}};
    for (const auto& parts : steps) {
      const double most =
          std::max({case_.largest(one.v), case_.largest(two.v), case_.largest(three.v)});
      expect_close(mlx.step(parts), reference.step(parts), most, 150);
    }
  }
}

// Many sequences of one row each are attended to in one go, behind a mask.
TEST_P(MlxAttentionTest, ManySequencesOfOneRow) {
  for (const HeadShape& shape : kHeadShapes) {
    SCOPED_TRACE(testing::Message()
                 << shape.heads << "/" << shape.kv_heads << " heads of " << shape.head_dim);
    use(shape);
    std::vector<Stream> streams;
    for (const std::int64_t tokens : {1, 2, 9, 30, 5, 64, 17}) streams.push_back(stream(tokens));
    AttentionRun reference = run(*reference_), mlx = run(*mlx_);
    std::vector<Part> before, last;
    double most = 0;
    for (const Stream& s : streams) {
      if (s.tokens > 1) before.push_back({&s, 0, s.tokens - 1});
      last.push_back({&s, s.tokens - 1, 1});
      most = std::max(most, case_.largest(s.v));
    }
    for (const auto& parts : {before, last})
      expect_close(mlx.step(parts), reference.step(parts), most, 64);
  }
}

TEST_P(MlxAttentionTest, SaturatedHalvesAreCounted) {
  use({2, 2, 20, 4, false, KvFormat::kF16});
  Stream s = stream(30);
  for (float& value : s.k) value = 0.0f;
  std::uint64_t beyond = 0;
  for (std::size_t i = 0; i < s.v.size(); i += 7, ++beyond) s.v[i] = i % 2 == 0 ? -65505.0f : 1e9f;
  AttentionRun mlx = run(*mlx_), reference = run(*reference_);
  EXPECT_EQ(mlx.kv().saturated(), 0u);
  const auto actual = mlx.step({{&s, 0, 30}}).out;
  EXPECT_EQ(mlx.kv().saturated(), beyond);
  const auto expected = reference.step({{&s, 0, 30}}).out;
  expect_near_each(actual, expected, std::vector<double>(actual.size(), 65504 * gamma(64)));
}

TEST_P(MlxAttentionTest, CopiedBlocksGoOnDifferently) {
  for (const KvFormat format : {KvFormat::kF32, KvFormat::kF16, KvFormat::kInt8}) {
    use({4, 2, 16, 8, true, format});
    const Stream first = stream(24);
    Stream second = stream(24);
    std::copy_n(first.q.begin(), 13 * 64, second.q.begin());
    std::copy_n(first.k.begin(), 13 * 32, second.k.begin());
    std::copy_n(first.v.begin(), 13 * 32, second.v.begin());
    AttentionRun whole = run(*mlx_);
    whole.step({{&first, 0, 13}, {&second, 0, 13}});
    const auto first_rest = whole.step({{&first, 13, 11}}).out;
    const auto second_rest = whole.step({{&second, 13, 11}}).out;
    AttentionRun copied = run(*mlx_);
    copied.step({{&first, 0, 13}});
    for (std::size_t block = 0; block < 2; ++block)
      mlx_->copy_kv_block(copied.kv(), first.blocks[block], second.blocks[block]);
    expect_same_bits(copied.step({{&first, 13, 11}}).out, first_rest);
    expect_same_bits(copied.step({{&second, 13, 11}}).out, second_rest);
  }
}

// In the seam's own layout: what one backend wrote, another reads.
TEST_P(MlxAttentionTest, BlocksTravelThroughHostMemory) {
  for (const KvFormat format : {KvFormat::kF32, KvFormat::kF16, KvFormat::kInt8}) {
    use({4, 2, 16, 8, false, format});
    const Stream first = stream(24);
    AttentionRun whole = run(*mlx_);
    whole.step({{&first, 0, 16}});
    const auto expected = whole.step({{&first, 16, 8}}).out;
    AttentionRun source = run(*mlx_), target = run(*mlx_), reference = run(*reference_);
    std::vector<std::byte> bytes(source.kv().shape().block_bytes(), std::byte{1});
    ASSERT_TRUE(mlx_->read_kv_block(source.kv(), kBlocks - 1, bytes));
    EXPECT_EQ(bytes, std::vector<std::byte>(bytes.size()));  // nothing was stored there
    source.step({{&first, 0, 16}});
    for (std::size_t block = 0; block < 2; ++block) {
      ASSERT_TRUE(mlx_->read_kv_block(source.kv(), first.blocks[block], bytes));
      ASSERT_TRUE(mlx_->write_kv_block(target.kv(), first.blocks[block], bytes));
      ASSERT_TRUE(reference_->write_kv_block(reference.kv(), first.blocks[block], bytes));
    }
    expect_same_bits(target.step({{&first, 16, 8}}).out, expected);
    const Output other = reference.step({{&first, 16, 8}});
    expect_near_each(
        expected, other.out,
        std::vector<double>(expected.size(), case_.tolerance(other, case_.largest(first.v), 24) +
                                                 24 * gamma(8) * case_.largest(first.v)));
  }
}

// One position alone gives its value back: what the cache holds of it.
TEST_P(MlxAttentionTest, CellsAreTheReferences) {
  for (const KvFormat format : {KvFormat::kF32, KvFormat::kF16, KvFormat::kInt8})
    for (const std::int64_t dim : {2, 20, 64, 128, 130})
      for (const float size : {1.0f, 1e-30f, 1e3f}) {
        SCOPED_TRACE(testing::Message() << static_cast<int>(format) << " " << dim << " " << size);
        use({1, 1, dim, 1, false, format});
        Stream s = stream(1);
        for (float& value : s.v) value *= size;
        EXPECT_EQ(run(*mlx_).step({{&s, 0, 1}}).out, run(*reference_).step({{&s, 0, 1}}).out);
      }
}

INSTANTIATE_TEST_SUITE_P(Ways, MlxAttentionTest, testing::Bool(), way_name);

}  // namespace
}  // namespace bobby::test
