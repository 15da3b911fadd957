// Operations that the CUDA backend holds back until it can do them with the one that follows: the
// same bits as when something in between has them done one by one, and the sums that the reference
// has.

#include "cuda/step_model.h"

namespace bobby::test {
namespace {

// Heads in groups of 4 and 1, rows beyond one stretch of a norm's sum, odd numbers of groups.
const StepShape kShapes[] = {
    {3, 512, 8, 2, 1216, 1040},
    {2, 1024, 4, 4, 3072, 528, DType::kF16, KvFormat::kInt8, false},
    {2, 4160, 6, 3, 4160, 528},
    {2, 4096, 32, 8, 12288, 2080},
};

class CudaFused : public CudaFixture {
 protected:
  /// `count` rows from position 0 on to far beyond a chunk; the first at `first`.
  std::vector<StepRow> rows(const StepShape& shape, std::size_t count, std::int64_t first) {
    const std::int64_t positions[] = {first, 0, 15, 16, 31, 130, 255, 256, 300, 511, 515};
    std::vector<StepRow> rows;
    std::int32_t next = 0;
    for (std::size_t i = 0; i < count; ++i) {
      StepRow row{static_cast<std::int32_t>(random_.integer(shape.vocab)),
                  positions[i % std::size(positions)],
                  {},
                  nullptr};
      for (std::int64_t b = 0; b * 32 < row.position + 3; ++b) row.blocks.push_back(next++);
      random_.shuffle(row.blocks);
      rows.push_back(row);
    }
    return rows;
  }
  void expect_same(StepModel& together, StepModel& apart, std::vector<StepRow> rows) {
    for (int i = 0; i < 2; ++i) {
      const auto expected = apart.step(rows, true);
      const auto expected_x = apart.x();
      const auto actual = together.step(rows, false);
      expect_same_bits(together.x(), expected_x);
      expect_same_bits(actual, expected);
      for (const float value : actual) ASSERT_TRUE(std::isfinite(value));
      if (HasFatalFailure() || HasNonfatalFailure()) FAIL() << "step " << i;
      for (StepRow& row : rows) ++row.position;
    }
  }
};

TEST_F(CudaFused, StepsAreTheirOperations) {
  for (const StepShape& shape : kShapes) {
    StepModel together(*cuda_, shape, 700, 64), apart(*cuda_, shape, 700, 64);
    const StepAdapter eight(*cuda_, shape, 8, 0, random_), five(*cuda_, shape, 5, 1, random_);
    const StepAdapter dora(*cuda_, shape, 24, 0, random_, true);
    for (const std::size_t count : {5, 8, 9, 16, 33, 64}) {
      SCOPED_TRACE(testing::Message() << shape.hidden << " wide, " << count << " rows");
      auto rows = this->rows(shape, count, static_cast<std::int64_t>(count));
      expect_same(together, apart, rows);
      for (StepRow& row : rows) row.adapter = &eight;
      expect_same(together, apart, rows);
      for (std::size_t i = 0; i < rows.size(); ++i) {
        const StepAdapter* adapters[] = {&eight, nullptr, &five, &dora};
        rows[i].adapter = adapters[i % 4];
      }
      expect_same(together, apart, rows);
      if (HasFatalFailure() || HasNonfatalFailure()) return;
    }
  }
}

// Short and long rows, which have other geometries of blocks alone.
TEST_F(CudaFused, ARowIsTheSameAloneOrInCompany) {
  const StepShape shape = kShapes[0];
  StepModel model(*cuda_, shape, 700, 64);
  const StepAdapter adapter(*cuda_, shape, 8, 0, random_);
  auto rows = this->rows(shape, 40, 70);
  for (std::size_t i = 0; i < rows.size(); i += 3) rows[i].adapter = &adapter;
  const auto all = model.step(rows, false);
  for (const std::size_t i : {0, 1, 5, 8, 10, 39})
    expect_same_bits(model.step({rows[i]}, false),
                     rows_of(all, shape.vocab, static_cast<std::int64_t>(i), 1));
  const std::vector<StepRow> some(rows.begin() + 4, rows.begin() + 11);
  expect_same_bits(model.step(some, false), rows_of(all, shape.vocab, 4, 7));
}

/// x += y, then the norm of x, then a product: with a wait after each, or without.
TEST_F(CudaFused, SumNormAndProductOfAnyRows) {
  for (const std::int64_t cols : {64, 576, 4096, 8192, 8256})
    for (const std::int64_t rows : {1, 7, 9, 40, 64, 65, 200, 430}) {
      SCOPED_TRACE(testing::Message() << rows << " rows of " << cols);
      const WeightBytes weight(affine(4, 64), 48, cols, random_);
      const WeightBytes norm(dense(DType::kBF16), 1, cols, random_.normals(cols));
      const auto xs = random_.activations(rows * cols), ys = random_.activations(rows * cols);
      const SequenceRows prompt{.row_begin = 0, .row_count = rows, .blocks = {}};
      const auto run = [&](Backend& backend, bool waits) {
        const auto w = backend.load_weight(weight.view()).value();
        const auto n = backend.load_weight(norm.view()).value();
        const DeviceTensor x(backend, rows, cols, xs), y(backend, rows, cols, ys);
        const DeviceTensor out(backend, rows, 48);
        const Projection projection{.weight = w.get(), .out = out};
        const auto wait = [&] {
          if (waits) {
            EXPECT_TRUE(backend.sync());
          }
        };
        backend.begin_step({&prompt, 1});
        for (int i = 0; i < 2; ++i) {  // what the product is, is known the second time
          backend.add(x, y);
          wait();
          backend.rms_norm(x, *n, 1e-6f, y);  // which may lie where the sum's term was
          wait();
          backend.linear(y, {&projection, 1});
          wait();
        }
        return std::vector<std::vector<float>>{x.values(backend), y.values(backend),
                                               out.values(backend)};
      };
      const auto together = run(*cuda_, false), apart = run(*cuda_, true);
      for (std::size_t i = 0; i < together.size(); ++i) expect_same_bits(together[i], apart[i]);
      const auto expected = run(*reference_, false);
      std::vector<double> limits;  // two norms and two sums
      for (const float value : expected[0])
        limits.push_back((std::abs(value) + 200) * gamma(cols / 1024 + 60));
      expect_near_each(together[0], expected[0], limits);
      if (HasFatalFailure() || HasNonfatalFailure()) return;
    }
}

// Whatever reads x or y sees the sum.
TEST_F(CudaFused, ASumIsThereForEveryone) {
  constexpr std::int64_t kRows = 12, kCols = 576;
  const auto xs = random_.activations(kRows * kCols), ys = random_.activations(kRows * kCols);
  std::vector<float> sum(xs);
  for (std::size_t i = 0; i < sum.size(); ++i) sum[i] += ys[i];
  const WeightBytes norm(dense(DType::kBF16), 1, kCols, random_.normals(kCols));
  const auto n = cuda_->load_weight(norm.view()).value();
  const DeviceTensor y(*cuda_, kRows, kCols, ys), other(*cuda_, kRows, kCols, ys);
  const DeviceTensor out(*cuda_, kRows, kCols);
  const std::vector<std::int32_t> picked = {3, 3, 11};
  {
    const DeviceTensor x(*cuda_, kRows, kCols, xs);
    cuda_->add(x, y);
    expect_same_bits(x.values(*cuda_), sum);
  }
  {
    const DeviceTensor x(*cuda_, kRows, kCols, xs), some(*cuda_, 3, kCols);
    cuda_->add(x, y);
    cuda_->select_rows(x, picked, some);
    expect_same_bits(rows_of(some.values(*cuda_), kCols, 2, 1), rows_of(sum, kCols, 11, 1));
  }
  {
    const DeviceTensor x(*cuda_, kRows, kCols, xs);
    cuda_->add(x, y);
    cuda_->rms_norm(other, *n, 1e-6f, out);  // of something else
    cuda_->add(x, y);
    cuda_->add(other, x);
    std::vector<float> twice(sum), third(ys);
    for (std::size_t i = 0; i < twice.size(); ++i) third[i] += twice[i] += ys[i];
    expect_same_bits(other.values(*cuda_), third);
    expect_same_bits(x.values(*cuda_), twice);
  }
  {
    const DeviceTensor x(*cuda_, kRows, kCols, xs), first(*cuda_, 5, kCols);
    cuda_->add(x, y);
    cuda_->rms_norm(Activation(x).slice(0, 5), *n, 1e-6f, first);  // of some of its rows
    expect_same_bits(x.values(*cuda_), sum);
  }
}

// q, k and the cache, when attention() does not follow.
TEST_F(CudaFused, RotationIsThereForEveryone) {
  constexpr std::int64_t kRows = 6, kHeads = 8, kKvHeads = 2;
  std::vector<float> frequencies;
  for (int i = 0; i < 64; ++i) frequencies.push_back(static_cast<float>(std::pow(1e4, -i / 64.0)));
  const WeightBytes inv_freq(dense(DType::kF32), 1, 64, frequencies);
  const WeightBytes norm(dense(DType::kBF16), 1, 128, random_.normals(128));
  const auto qs = random_.normals(kRows * kHeads * 128),
             ks = random_.normals(kRows * kKvHeads * 128);
  const auto vs = random_.normals(kRows * kKvHeads * 128);
  std::vector<std::vector<std::int32_t>> blocks;
  std::vector<SequenceRows> sequences;
  for (std::int32_t i = 0; i < kRows; ++i) blocks.push_back({2 * i, 2 * i + 1});
  for (std::int64_t i = 0; i < kRows; ++i)
    sequences.push_back({i, 1, i * 7, blocks[static_cast<std::size_t>(i)]});
  const auto run = [&](Backend& backend, bool looks) {
    const auto f = backend.load_weight(inv_freq.view()).value();
    const auto n = backend.load_weight(norm.view()).value();
    const auto kv =
        backend
            .allocate_kv(
                {.layers = 1, .num_key_value_heads = kKvHeads, .head_dim = 128, .blocks = 12})
            .value();
    const DeviceTensor q(backend, kRows, kHeads * 128, qs), k(backend, kRows, kKvHeads * 128, ks);
    const DeviceTensor v(backend, kRows, kKvHeads * 128, vs), out(backend, kRows, kHeads * 128);
    std::vector<std::vector<float>> results;
    for (int i = 0; i < 2; ++i) {  // the second time over what the first has left
      backend.rope_and_store({.q = q,
                              .k = k,
                              .v = v,
                              .q_norm = n.get(),
                              .k_norm = n.get(),
                              .rms_norm_eps = 1e-6f,
                              .inv_freq = f.get(),
                              .sequences = sequences,
                              .kv = kv.get(),
                              .layer = 0});
      if (looks || i == 0) {
        results.push_back(q.values(backend));
        results.push_back(k.values(backend));
      }
      backend.attention(
          {.q = q, .out = out, .scale = 0.1f, .sequences = sequences, .kv = kv.get(), .layer = 0});
      results.push_back(out.values(backend));
    }
    return results;
  };
  const auto expected = run(*reference_, true), apart = run(*cuda_, true);
  const auto together = run(*cuda_, false);
  for (const std::size_t i : {0, 1, 3, 4})
    expect_near_each(apart[i], expected[i],
                     std::vector<double>(expected[i].size(), 20 * gamma(200)));
  for (const std::size_t i : {0, 1, 2}) expect_same_bits(together[i], apart[i]);
  expect_same_bits(together[3], apart[5]);
}

}  // namespace
}  // namespace bobby::test
