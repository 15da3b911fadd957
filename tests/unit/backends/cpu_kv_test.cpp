// The KV cache of the CPU backend in each of its formats: what goes in and comes out, what is
// counted, and blocks that are shared or copied.

#include <limits>

#include "cpu_attention_fixture.h"
#include "tensor/half.h"

namespace bobby::test {
namespace {

class CpuKvTest : public CpuAttentionTest {
 protected:
  /// What comes out of the cache of a backend for `v`: attention over one position is its value.
  std::vector<float> through(Backend& backend, KvFormat format, const std::vector<float>& v) {
    const auto dim = static_cast<std::int64_t>(v.size());
    use({1, 1, dim, 1, false, format});
    const auto kv = backend
                        .allocate_kv({.layers = 1,
                                      .num_key_value_heads = 1,
                                      .head_dim = dim,
                                      .block_tokens = 1,
                                      .blocks = 4,
                                      .format = format})
                        .value();
    const auto inv_freq = backend.load_weight(inv_freq_->view()).value();
    const std::int32_t block[] = {3};
    const SequenceRows sequences[] = {{0, 1, 0, block}};
    const Tensor q(backend, 1, dim);
    const Tensor out(backend, 1, dim);
    backend.rope_and_store({.q = q,
                            .k = q,
                            .v = Tensor(backend, 1, dim, v),
                            .inv_freq = inv_freq.get(),
                            .sequences = sequences,
                            .kv = kv.get()});
    backend.attention({.q = q, .out = out, .scale = 1, .sequences = sequences, .kv = kv.get()});
    return out.values(backend);
  }
};

TEST_P(CpuKvTest, HalfCellsSaturateAndLargeScoresDoNotOverflow) {
  use({1, 1, 16, 4, false, KvFormat::kF16});
  Stream s = stream(9);
  for (float& value : s.q) value *= 300.0f;
  for (float& value : s.k) value *= 300.0f;
  for (float& value : s.v) value = value < 0 ? -1e30f : 1e30f;
  AttentionRun reference = run(*reference_);
  AttentionRun cpu = run(*cpu_);
  const auto expected = reference.step({{&s, 0, 9}}).out;
  const auto actual = cpu.step({{&s, 0, 9}}).out;
  for (std::size_t i = 0; i < actual.size(); ++i) {
    ASSERT_TRUE(std::isfinite(actual[i]));
    ASSERT_LE(std::abs(actual[i]), 65504.0f * (1 + gamma(20)));
  }
  // Scores around 1e5 differ by far more than their error: the largest takes all, on both sides.
  expect_near_each(actual, expected, std::vector<double>(actual.size(), 65504 * gamma(64)));
}

TEST_P(CpuKvTest, EveryHalfGoesInAndOutExactly) {
  // All finite halves; then numbers that must round.
  std::vector<float> numbers;
  for (std::uint32_t bits = 0; bits < 0x10000; ++bits)
    if ((bits & 0x7c00u) != 0x7c00u)
      numbers.push_back(f16_to_float(static_cast<std::uint16_t>(bits)));
  for (int i = 0; i < 2048; ++i)
    numbers.push_back(std::ldexp(random_.normal(), static_cast<int>(random_.integer(40)) - 28));
  constexpr std::int64_t kDim = 512;
  ASSERT_EQ(numbers.size() % kDim, 0u);
  for (std::int64_t row = 0; row < std::ssize(numbers) / kDim; ++row) {
    const std::vector<float> v = rows_of(numbers, kDim, row, 1);
    std::vector<float> expected;
    for (const float value : v)
      expected.push_back(
          f16_to_float(float_to_f16(std::max(-65504.0f, std::min(65504.0f, value)))));
    // -0 and 0 are the same: a sum begins with 0.
    ASSERT_EQ(through(*cpu_, KvFormat::kF16, v), expected);
  }
}

TEST_P(CpuKvTest, F32GoesInAndOutExactly) {
  const std::vector<float> v = random_.activations(38);
  EXPECT_EQ(through(*cpu_, KvFormat::kF32, v), v);
}

TEST_P(CpuKvTest, Int8IsWithinHalfAStepAndTheReferencesBits) {
  for (const std::int64_t dim : {2, 20, 64, 128, 130}) {
    SCOPED_TRACE(dim);
    for (const float size : {1.0f, 1e-30f, 1e-38f, 1e-43f, 1e5f, 1e37f}) {
      SCOPED_TRACE(size);
      std::vector<float> v = random_.normals(dim);
      for (float& value : v) value *= size;
      const std::vector<float> found = through(*cpu_, KvFormat::kInt8, v);
      expect_same_bits(found, through(*reference_, KvFormat::kInt8, v));
      // Half a step; the scale's and the product's roundings, of numbers as large as the largest;
      // where the scale is subnormal, 127 times its last digit.
      const double most = largest(v);
      const double limit = most / 254 + most * gamma(3) + 127 * 0x1p-149;
      expect_near_each(found, v, std::vector<double>(v.size(), limit));
    }
  }
  EXPECT_EQ(through(*cpu_, KvFormat::kInt8, std::vector<float>(64)), std::vector<float>(64));
}

TEST_P(CpuKvTest, Int8KeepsNoNumbersBesideNanOrInfinity) {
  for (const float bad : {std::numeric_limits<float>::quiet_NaN(), HUGE_VALF, -HUGE_VALF}) {
    std::vector<float> v = random_.normals(70);
    v[67] = bad;
    for (const float value : through(*cpu_, KvFormat::kInt8, v)) EXPECT_TRUE(std::isnan(value));
  }
}

TEST_P(CpuKvTest, SaturatedNumbersAreCounted) {
  for (const KvFormat format : kFormats) {
    SCOPED_TRACE(format_name(format));
    use({2, 2, 20, 4, false, format});
    Stream s = stream(30);
    // Keys are rotated: a pair (a, 0) has numbers of at most |a|, so here all fit.
    for (float& value : s.k) value = 0.0f;
    for (float& value : s.v) value = std::clamp(value, -1.0f, 1.0f) * 65504.0f;
    std::uint64_t beyond = 0;
    for (std::size_t i = 0; i < s.v.size(); i += 7, ++beyond)
      s.v[i] = i % 2 == 0 ? -65505.0f : i % 5 == 0 ? HUGE_VALF : 1e9f;
    s.v[1] = std::numeric_limits<float>::quiet_NaN();
    for (Backend* backend : {cpu_.get(), reference_.get()}) {
      AttentionRun run = this->run(*backend);
      EXPECT_EQ(run.kv().saturated(), 0u);
      run.fill({{&s, 0, 30}});
      EXPECT_EQ(run.kv().saturated(), format == KvFormat::kF16 ? beyond : 0u);
      run.fill({{&s, 0, 30}});
      EXPECT_EQ(run.kv().saturated(), format == KvFormat::kF16 ? 2 * beyond : 0u);
    }
  }
}

/// Two sequences that begin with the same `tokens`, each with blocks of its own.
struct Branches {
  Stream first, second;
};
Branches branch(const Stream& first, Stream second, std::int64_t tokens) {
  const auto same = [&](const std::vector<float>& from, std::vector<float>& to) {
    std::copy_n(from.begin(), std::ssize(from) / first.tokens * tokens, to.begin());
  };
  same(first.q, second.q);
  same(first.k, second.k);
  same(first.v, second.v);
  return {first, std::move(second)};
}

TEST_P(CpuKvTest, SharedPrefixBlocks) {
  for (const KvFormat format : kFormats) {
    SCOPED_TRACE(format_name(format));
    use({4, 2, 64, 8, true, format});
    auto [first, second] = branch(stream(20), stream(20), 16);  // two whole blocks
    const auto expected = run(*cpu_).step({{&first, 0, 20}, {&second, 0, 20}}).out;
    AttentionRun shared = run(*cpu_);
    std::copy_n(first.blocks.begin(), 2, second.blocks.begin());
    shared.fill({{&first, 0, 16}});
    const auto tail = shared.step({{&first, 16, 4}, {&second, 16, 4}}).out;
    expect_same_bits(rows_of(tail, 256, 0, 4), rows_of(expected, 256, 16, 4));
    expect_same_bits(rows_of(tail, 256, 4, 4), rows_of(expected, 256, 36, 4));
  }
}

// A block that is copied half full goes on differently on both sides.
TEST_P(CpuKvTest, CopiedBlocks) {
  for (const KvFormat format : kFormats) {
    for (Backend* backend : {cpu_.get(), reference_.get()}) {
      SCOPED_TRACE(testing::Message() << format_name(format) << ", " << backend->name());
      use({4, 2, 16, 8, true, format});
      auto [first, second] = branch(stream(24), stream(24), 13);
      const auto expected = run(*backend).step({{&first, 0, 24}, {&second, 0, 24}}).out;
      AttentionRun copied = run(*backend);
      copied.fill({{&first, 0, 13}});
      for (std::size_t block = 0; block < 2; ++block)
        backend->copy_kv_block(copied.kv(), first.blocks[block], second.blocks[block]);
      const auto one = copied.step({{&first, 13, 11}}).out;
      const auto two = copied.step({{&second, 13, 11}}).out;
      expect_same_bits(one, rows_of(expected, 64, 13, 11));
      expect_same_bits(two, rows_of(expected, 64, 37, 11));
      // And the first is as it was before the second went on.
      expect_same_bits(copied.step({{&first, 23, 1}}).out, rows_of(expected, 64, 23, 1));
    }
  }
}

// A block's bytes are the same on every backend, and carry it from one to another.
TEST_P(CpuKvTest, BlocksTravelThroughHostMemory) {
  for (const KvFormat format : kFormats) {
    for (Backend* to : {cpu_.get(), reference_.get()}) {
      SCOPED_TRACE(testing::Message() << format_name(format) << ", to " << to->name());
      use({4, 2, 16, 8, true, format});
      const Stream first = stream(24);
      AttentionRun source = run(*cpu_);
      source.fill({{&first, 0, 16}});
      AttentionRun target = run(*to);
      std::vector<std::byte> bytes(source.kv().shape().block_bytes());
      for (std::size_t block = 0; block < 2; ++block) {
        ASSERT_TRUE(cpu_->read_kv_block(source.kv(), first.blocks[block], bytes));
        ASSERT_TRUE(to->write_kv_block(target.kv(), first.blocks[block], bytes));
        std::vector<std::byte> again(bytes.size());
        ASSERT_TRUE(to->read_kv_block(target.kv(), first.blocks[block], again));
        EXPECT_EQ(again, bytes);
      }
      const auto expected = run(*to).step({{&first, 0, 24}}).out;
      const auto out = target.step({{&first, 16, 8}}).out;
      // The other backend has stored the rotated keys of its own arithmetic in `expected`.
      if (to == cpu_.get()) expect_same_bits(out, rows_of(expected, 64, 16, 8));
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Cpu, CpuKvTest, every_cpu(), cpu_param_name);

}  // namespace
}  // namespace bobby::test
