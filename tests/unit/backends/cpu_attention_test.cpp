// RoPE, the KV cache and attention of the CPU backend: against the reference over scattered blocks,
// and bit for bit alone, in company, in chunks and on any number of threads.

#include <cmath>

#include "cpu_fixture.h"
#include "tensor/half.h"

namespace bobby::test {
namespace {

/// What one sequence feeds in: rows of q, k and v for all its tokens.
struct Stream {
  std::int64_t tokens = 0;
  std::vector<float> q, k, v;
  std::vector<std::int32_t> blocks;
};

/// Consecutive tokens of one stream in one step.
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

void PrintTo(const HeadShape& s, std::ostream* out) {
  *out << s.heads << " heads, " << s.kv_heads << " kv heads, head_dim " << s.head_dim
       << ", blocks of " << s.block_tokens << (s.qk_norm ? ", norms" : "")
       << (s.format == KvFormat::kF16 ? ", f16" : ", f32");
}

// Groups of 1, 2, 3 and 4, head dimensions of whole vectors and not, blocks of any length.
const HeadShape kShapes[] = {
    {2, 2, 16, 8, false, KvFormat::kF32},   {4, 2, 64, 32, true, KvFormat::kF16},
    {9, 3, 64, 16, false, KvFormat::kF16},  {8, 2, 128, 32, true, KvFormat::kF16},
    {6, 2, 80, 5, true, KvFormat::kF32},    {4, 1, 20, 3, true, KvFormat::kF16},
    {16, 8, 128, 32, true, KvFormat::kF32}, {3, 1, 6, 1, false, KvFormat::kF16},
};

constexpr std::int64_t kLayers = 2;
constexpr std::int64_t kLayer = 1;
constexpr float kEps = 1e-6f;

/// A backend with a cache of its own, fed step by step.
class AttentionRun {
 public:
  AttentionRun(Backend& backend, const HeadShape& shape, const WeightBytes& norm,
               const WeightBytes& inv_freq, std::int64_t blocks)
      : backend_(backend),
        shape_(shape),
        norm_(backend.load_weight(norm.view()).value()),
        inv_freq_(backend.load_weight(inv_freq.view()).value()),
        kv_(backend
                .allocate_kv({.layers = kLayers,
                              .num_key_value_heads = shape.kv_heads,
                              .head_dim = shape.head_dim,
                              .block_tokens = shape.block_tokens,
                              .blocks = blocks,
                              .format = shape.format})
                .value()) {}

  struct Output {
    std::vector<float> q, k, out;
  };

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
    const Tensor queries(backend_, rows, q_cols, q);
    const Tensor keys(backend_, rows, kv_cols, k);
    const Tensor values(backend_, rows, kv_cols, v);
    const Tensor out(backend_, rows, q_cols);
    backend_.rope_and_store({.q = queries,
                             .k = keys,
                             .v = values,
                             .q_norm = shape_.qk_norm ? norm_.get() : nullptr,
                             .k_norm = shape_.qk_norm ? norm_.get() : nullptr,
                             .rms_norm_eps = kEps,
                             .inv_freq = inv_freq_.get(),
                             .sequences = sequences,
                             .kv = kv_.get(),
                             .layer = kLayer});
    backend_.attention({.q = queries,
                        .out = out,
                        .scale = 1 / std::sqrt(static_cast<float>(shape_.head_dim)),
                        .sequences = sequences,
                        .kv = kv_.get(),
                        .layer = kLayer});
    return {queries.values(backend_), keys.values(backend_), out.values(backend_)};
  }

 private:
  Backend& backend_;
  HeadShape shape_;
  std::unique_ptr<Weight> norm_;
  std::unique_ptr<Weight> inv_freq_;
  std::unique_ptr<KvStorage> kv_;
};

class CpuAttentionTest : public CpuFixture {
 protected:
  static constexpr std::int64_t kBlocks = 400;

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
  AttentionRun run(Backend& backend) { return {backend, shape_, *norm_, *inv_freq_, kBlocks}; }

  /// Bound on the error of one output, from the numbers that went in. Scores: head_dim products, a
  /// sum and the scaling, relative to |q||k| * scale; e^score carries that absolute error as a
  /// relative one, twice over (numerator and total). Then the sum over `length` weighted values.
  /// Without norms q and k are the same bits on both sides. With norms they differ by a few
  /// roundings, and so an f16 cell now and then by one of its own: 2^-11 of a component.
  double tolerance(const std::vector<float>& q, const std::vector<float>& k, double largest_value,
                   std::int64_t length) const {
    const std::int64_t dim = shape_.head_dim;
    double q_norm = 0;
    double k_norm = 0;
    for (std::size_t i = 0; i < q.size(); i += static_cast<std::size_t>(dim))
      q_norm = std::max(q_norm, norm_of(q, i));
    for (std::size_t i = 0; i < k.size(); i += static_cast<std::size_t>(dim))
      k_norm = std::max(k_norm, norm_of(k, i));
    const double scale = 1 / std::sqrt(static_cast<double>(dim));
    const double norms = shape_.qk_norm ? gamma(dim + 16) : 0.0;
    const double cell = shape_.qk_norm && shape_.format == KvFormat::kF16
                            ? 0x1p-11 / std::sqrt(static_cast<double>(dim))
                            : 0.0;
    const double score_error = q_norm * k_norm * scale * (gamma(dim + 2) + norms + cell);
    return largest_value * (2 * score_error + gamma(2 * length + 8));
  }
  double norm_of(const std::vector<float>& values, std::size_t begin) const {
    double sum = 0;
    for (std::size_t i = begin; i < begin + static_cast<std::size_t>(shape_.head_dim); ++i)
      sum += static_cast<double>(values[i]) * values[i];
    return std::sqrt(sum);
  }

  HeadShape shape_{};
  std::unique_ptr<WeightBytes> inv_freq_;
  std::unique_ptr<WeightBytes> norm_;
  std::unique_ptr<ScatteredBlocks> pool_;
};

double largest(const std::vector<float>& values) {
  double most = 0;
  for (const float value : values) most = std::max(most, std::abs(static_cast<double>(value)));
  return most;
}

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

TEST_P(CpuAttentionTest, SharedPrefixBlocks) {
  use({4, 2, 64, 8, true, KvFormat::kF16});
  const Stream prompt = stream(16);
  Stream first = stream(20), second = stream(20);
  for (Stream* branch : {&first, &second}) {  // two whole blocks of prompt, then their own
    std::copy(prompt.q.begin(), prompt.q.end(), branch->q.begin());
    std::copy(prompt.k.begin(), prompt.k.end(), branch->k.begin());
    std::copy(prompt.v.begin(), prompt.v.end(), branch->v.begin());
  }
  AttentionRun separate = run(*cpu_);
  const auto expected = separate.step({{&first, 0, 20}, {&second, 0, 20}}).out;
  AttentionRun shared = run(*cpu_);
  for (Stream* branch : {&first, &second})
    std::copy(prompt.blocks.begin(), prompt.blocks.end(), branch->blocks.begin());
  shared.step({{&prompt, 0, 16}});
  const auto tail = shared.step({{&first, 16, 4}, {&second, 16, 4}}).out;
  expect_same_bits(rows_of(tail, 256, 0, 4), rows_of(expected, 256, 16, 4));
  expect_same_bits(rows_of(tail, 256, 4, 4), rows_of(expected, 256, 36, 4));
}

TEST_P(CpuAttentionTest, HalfCellsSaturateAndLargeScoresDoNotOverflow) {
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

TEST_P(CpuAttentionTest, EveryHalfGoesInAndOutExactly) {
  use({1, 1, 64, 1, false, KvFormat::kF16});
  // Attention over one position is its value. All finite halves; then numbers that must round.
  std::vector<float> numbers;
  for (std::uint32_t bits = 0; bits < 0x10000; ++bits)
    if ((bits & 0x7c00u) != 0x7c00u)
      numbers.push_back(f16_to_float(static_cast<std::uint16_t>(bits)));
  for (int i = 0; i < 2048; ++i)
    numbers.push_back(std::ldexp(random_.normal(), static_cast<int>(random_.integer(40)) - 28));
  const auto rows = static_cast<std::int64_t>(numbers.size()) / 64;
  ASSERT_EQ(rows * 64, static_cast<std::int64_t>(numbers.size()));
  const std::int32_t block[] = {3};
  const auto kv = cpu_->allocate_kv({.layers = 1,
                                     .num_key_value_heads = 1,
                                     .head_dim = 64,
                                     .block_tokens = 1,
                                     .blocks = 4})
                      .value();
  const auto inv_freq = cpu_->load_weight(inv_freq_->view()).value();
  const Tensor q(*cpu_, 1, 64);
  const Tensor out(*cpu_, 1, 64);
  const SequenceRows sequences[] = {{0, 1, 0, block}};
  for (std::int64_t row = 0; row < rows; ++row) {
    const std::vector<float> v = rows_of(numbers, 64, row, 1);
    cpu_->rope_and_store({.q = q,
                          .k = q,
                          .v = Tensor(*cpu_, 1, 64, v),
                          .inv_freq = inv_freq.get(),
                          .sequences = sequences,
                          .kv = kv.get()});
    cpu_->attention({.q = q, .out = out, .scale = 1, .sequences = sequences, .kv = kv.get()});
    std::vector<float> expected;
    for (const float value : v)
      expected.push_back(
          f16_to_float(float_to_f16(std::max(-65504.0f, std::min(65504.0f, value)))));
    ASSERT_EQ(out.values(*cpu_), expected);  // -0 and 0 are the same: a sum begins with 0
  }
}

INSTANTIATE_TEST_SUITE_P(Cpu, CpuAttentionTest, every_cpu(), cpu_param_name);

}  // namespace
}  // namespace bobby::test
