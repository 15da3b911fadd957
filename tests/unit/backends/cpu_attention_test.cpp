// RoPE, the KV cache and attention of the CPU backend: against the reference over scattered blocks,
// and bit for bit alone, in company, in chunks and on any number of threads.

#include "cpu_attention_fixture.h"

namespace bobby::test {
namespace {

// Groups of 1, 2, 3 and 4, head dimensions of whole vectors and not, blocks of any length.
const HeadShape kShapes[] = {
    {2, 2, 16, 8, false, KvFormat::kF32},    {4, 2, 64, 32, true, KvFormat::kF16},
    {9, 3, 64, 16, false, KvFormat::kF16},   {8, 2, 128, 32, true, KvFormat::kF16},
    {6, 2, 80, 5, true, KvFormat::kF32},     {4, 1, 20, 3, true, KvFormat::kF16},
    {16, 8, 128, 32, true, KvFormat::kF32},  {3, 1, 6, 1, false, KvFormat::kF16},
    {8, 2, 128, 32, false, KvFormat::kInt8}, {9, 3, 20, 5, true, KvFormat::kInt8},
};

TEST_P(CpuAttentionTest, MatchesReference) {
  for (const HeadShape& shape : kShapes) {
    SCOPED_TRACE(testing::PrintToString(shape));
    use(shape);
    const Stream one = stream(1), two = stream(37), three = stream(70);
    AttentionRun reference = run(*reference_);
    AttentionRun cpu = run(*cpu_);
    // A first step with prompts of different lengths, then a chunk, a single token and a new one.
    const std::vector<std::vector<Part>> steps = {{{&two, 0, 30}, {&three, 0, 65}},
                                                  {{&three, 65, 5}, {&one, 0, 1}, {&two, 30, 7}}};
    for (const auto& parts : steps) {
      const auto expected = reference.step(parts);
      const auto actual = cpu.step(parts);
      const double rope_error = shape.qk_norm ? gamma(shape.head_dim + 16) : 0.0;
      // Without norms rotation is the same two products and a sum on both sides: the same bits.
      expect_near_each(actual.q, expected.q,
                       std::vector<double>(actual.q.size(), rope_error * largest(expected.q)));
      expect_near_each(actual.k, expected.k,
                       std::vector<double>(actual.k.size(), rope_error * largest(expected.k)));
      const double most = std::max(largest(two.v), std::max(largest(one.v), largest(three.v)));
      const std::vector<double> limits(actual.out.size(),
                                       tolerance(expected.q, expected.k, most, 70));
      expect_near_each(actual.out, expected.out, limits);
    }
  }
}

TEST_P(CpuAttentionTest, SameBitsAloneInCompanyAndInChunks) {
  for (const HeadShape& shape : kShapes) {
    SCOPED_TRACE(testing::PrintToString(shape));
    use(shape);
    const std::int64_t cols = shape.heads * shape.head_dim;
    const Stream main = stream(53), other = stream(29), third = stream(3);
    AttentionRun in_one_go = run(*alone_);
    const std::vector<float> expected = in_one_go.step({{&main, 0, 53}}).out;

    AttentionRun threads = run(*cpu_);
    expect_same_bits(threads.step({{&main, 0, 53}}).out, expected);

    AttentionRun company = run(*cpu_);
    const auto mixed = company.step({{&other, 0, 29}, {&main, 0, 53}, {&third, 0, 3}}).out;
    expect_same_bits(rows_of(mixed, cols, 29, 53), expected);

    AttentionRun chunks = run(*cpu_);
    std::vector<float> pieces;
    std::int64_t held = 0;
    for (const std::int64_t count : {1, 17, 2, 31, 1, 1}) {
      const auto out = chunks.step({{&third, 0, 2}, {&main, held, count}, {&other, 0, 5}}).out;
      const auto mine = rows_of(out, cols, 2, count);
      pieces.insert(pieces.end(), mine.begin(), mine.end());
      held += count;
    }
    ASSERT_EQ(held, 53);
    expect_same_bits(pieces, expected);
  }
}

// A context of several chunks: whoever computes them, and together with how many rows, the bits are
// the same; and it is the reference's result.
TEST_P(CpuAttentionTest, LongContextsAreTheSameHoweverTheyAreSplit) {
  constexpr std::int64_t kTokens = 600;
  for (const KvFormat format : kFormats) {
    SCOPED_TRACE(format_name(format));
    use({4, 2, 32, 32, false, format});
    const std::int64_t cols = 4 * 32;
    const Stream main = stream(kTokens), other = stream(300);
    const auto expected = run(*alone_).step({{&main, 0, kTokens}}).out;

    AttentionRun decode = run(*cpu_);
    decode.fill({{&main, 0, kTokens - 2}, {&other, 0, 290}});
    const auto row = decode.step({{&main, kTokens - 2, 1}}).out;
    expect_same_bits(row, rows_of(expected, cols, kTokens - 2, 1));
    const auto mixed = decode.step({{&other, 290, 10}, {&main, kTokens - 1, 1}}).out;
    expect_same_bits(rows_of(mixed, cols, 10, 1), rows_of(expected, cols, kTokens - 1, 1));

    AttentionRun reference = run(*reference_);
    reference.fill({{&main, 0, kTokens - 1}});
    const auto last = reference.step({{&main, kTokens - 1, 1}});
    const std::vector<double> limits(last.out.size(),
                                     tolerance(main.q, main.k, largest(main.v), kTokens));
    expect_near_each(rows_of(expected, cols, kTokens - 1, 1), last.out, limits);
  }
}

INSTANTIATE_TEST_SUITE_P(Cpu, CpuAttentionTest, every_cpu(), cpu_param_name);

}  // namespace
}  // namespace bobby::test
