#pragma once

// What the tests of the KV cache and of attention share: sequences with random q, k and v, fed to a
// backend step by step.

#include <cmath>
#include <memory>
#include <ostream>
#include <string_view>
#include <vector>

#include "cpu_fixture.h"

namespace bobby::test {

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

inline constexpr KvFormat kFormats[] = {KvFormat::kF32, KvFormat::kF16, KvFormat::kInt8};

inline std::string_view format_name(KvFormat format) {
  return format == KvFormat::kF32 ? "f32" : format == KvFormat::kF16 ? "f16" : "int8";
}

inline void PrintTo(const HeadShape& s, std::ostream* out) {
  *out << s.heads << " heads, " << s.kv_heads << " kv heads, head_dim " << s.head_dim
       << ", blocks of " << s.block_tokens << (s.qk_norm ? ", norms" : "") << ", "
       << format_name(s.format);
}

inline constexpr std::int64_t kLayers = 2;
inline constexpr std::int64_t kLayer = 1;
inline constexpr float kEps = 1e-6f;

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

  /// Puts keys and values into the cache, and looks at none of them.
  void fill(const std::vector<Part>& parts) { run(parts, false); }
  Output step(const std::vector<Part>& parts) { return run(parts, true); }

  KvStorage& kv() { return *kv_; }

 private:
  Output run(const std::vector<Part>& parts, bool attend) {
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
    if (!attend) return {};
    backend_.attention({.q = queries,
                        .out = out,
                        .scale = 1 / std::sqrt(static_cast<float>(shape_.head_dim)),
                        .sequences = sequences,
                        .kv = kv_.get(),
                        .layer = kLayer});
    return {queries.values(backend_), keys.values(backend_), out.values(backend_)};
  }

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
  /// Without norms q and k are the same bits on both sides, and so are the cells. With norms they
  /// differ by a few roundings, and so a cell now and then by one of its own: 2^-11 of a component
  /// in f16, 1/127 of the largest one in int8. int8 multiplies by two scales besides.
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
    const double cell = !shape_.qk_norm                    ? 0.0
                        : shape_.format == KvFormat::kF16  ? 0x1p-11 / std::sqrt(dim)
                        : shape_.format == KvFormat::kInt8 ? 1.0 / 127
                                                           : 0.0;
    const double score_error = q_norm * k_norm * scale * (gamma(dim + 4) + norms + cell);
    return largest_value * (2 * score_error + gamma(2 * length + 10));
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

inline double largest(const std::vector<float>& values) {
  double most = 0;
  for (const float value : values) most = std::max(most, std::abs(static_cast<double>(value)));
  return most;
}

}  // namespace bobby::test
