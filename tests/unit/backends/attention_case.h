#pragma once

// Sequences, caches and bounds for the attention of the backends whose memory is a device's.

#include <algorithm>
#include <cmath>
#include <memory>
#include <vector>

#include "unit/backends/device_tensor.h"

namespace bobby::test {

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
inline const HeadShape kHeadShapes[] = {
    {2, 2, 16, 8, false, KvFormat::kF32},    {4, 2, 64, 32, true, KvFormat::kF16},
    {9, 3, 64, 16, false, KvFormat::kF16},   {8, 2, 128, 32, true, KvFormat::kF16},
    {6, 2, 80, 5, true, KvFormat::kF32},     {4, 1, 20, 3, true, KvFormat::kF16},
    {16, 8, 128, 32, true, KvFormat::kF32},  {3, 1, 6, 1, false, KvFormat::kF16},
    {8, 2, 128, 32, false, KvFormat::kInt8}, {9, 3, 20, 5, true, KvFormat::kInt8},
    {8, 1, 256, 16, false, KvFormat::kF16},  {10, 1, 64, 7, false, KvFormat::kF32},
};
inline constexpr std::int64_t kBlocks = 900;

struct Output {
  std::vector<float> q, k, out;
};

/// Heads of one shape, and the streams that go through them.
class AttentionCase {
 public:
  void use(const HeadShape& shape, Random& random) {
    shape_ = shape;
    std::vector<float> frequencies;
    for (std::int64_t i = 0; i < shape.head_dim / 2; ++i)
      frequencies.push_back(static_cast<float>(
          std::pow(1e4, -2.0 * static_cast<double>(i) / static_cast<double>(shape.head_dim))));
    inv_freq_ =
        std::make_unique<WeightBytes>(dense(DType::kF32), 1, shape.head_dim / 2, frequencies);
    std::vector<float> norm = random.normals(shape.head_dim, 0.2f);
    for (float& value : norm) value += 1.0f;
    norm_ = std::make_unique<WeightBytes>(dense(DType::kBF16), 1, shape.head_dim, norm);
    pool_ = std::make_unique<ScatteredBlocks>(kBlocks, random);
  }
  Stream stream(std::int64_t tokens, Random& random) {
    return {tokens, random.normals(tokens * shape_.heads * shape_.head_dim),
            random.normals(tokens * shape_.kv_heads * shape_.head_dim),
            random.normals(tokens * shape_.kv_heads * shape_.head_dim),
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

  const HeadShape& shape() const { return shape_; }
  const WeightView& norm() const { return norm_->view(); }
  const WeightView& inv_freq() const { return inv_freq_->view(); }

 private:
  HeadShape shape_{};
  std::unique_ptr<WeightBytes> inv_freq_, norm_;
  std::unique_ptr<ScatteredBlocks> pool_;
};

/// A backend with a cache of its own, fed step by step.
class AttentionRun {
 public:
  AttentionRun(Backend& backend, const AttentionCase& test)
      : backend_(backend),
        shape_(test.shape()),
        norm_(backend.load_weight(test.norm()).value()),
        inv_freq_(backend.load_weight(test.inv_freq()).value()),
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

}  // namespace bobby::test
