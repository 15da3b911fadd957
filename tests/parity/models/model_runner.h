#pragma once

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <memory>
#include <numeric>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

#include "backends/backend.h"
#include "model/model.h"

namespace bobby::testing {

using Tokens = std::vector<std::int32_t>;

/// The value, or an exception with the error's sentence, which fails the test that asked.
template <typename T>
T value_of(Result<T> result) {
  if (!result) throw std::runtime_error(result.error().to_string());
  if constexpr (!std::is_void_v<T>) return std::move(*result);
}

/// |found - expected| / |expected| over all elements.
inline double relative_l2(std::span<const float> found, std::span<const float> expected) {
  if (found.size() != expected.size()) throw std::runtime_error("sizes differ");
  double distance = 0, norm = 0;
  for (std::size_t i = 0; i < found.size(); ++i) {
    const double difference = static_cast<double>(found[i]) - expected[i];
    distance += difference * difference;
    norm += static_cast<double>(expected[i]) * expected[i];
  }
  return std::sqrt(distance / norm);  // NaN where a logit is
}

/// A sequence under way: its place in the cache and its adapters.
struct Sequence {
  std::vector<std::int32_t> blocks = {};
  std::vector<AdapterUse> adapters = {};
  std::int64_t position = 0;
};

/// A model with a pool of KV blocks, for tests that drive step() by hand.
class ModelRunner {
 public:
  static constexpr std::int64_t kBlocksEach = 4;
  static constexpr std::int64_t kSequences = 8;

  ModelRunner(const std::filesystem::path& folder, std::unique_ptr<Backend> backend,
              KvFormat format = KvFormat::kF32)
      : backend_(std::move(backend)),
        model_(value_of(Model::load(folder, *backend_))),
        kv_(value_of(backend_->allocate_kv(model_->kv_shape(kBlocksEach * kSequences, format)))) {}

  Model& model() { return *model_; }
  Backend& backend() { return *backend_; }
  KvStorage& kv() { return *kv_; }

  /// A new sequence; number n has blocks that lie apart and out of order in the pool.
  Sequence sequence(std::vector<AdapterUse> adapters = {}, std::int64_t n = 0) const {
    Sequence sequence{.adapters = std::move(adapters)};
    for (std::int64_t i = kBlocksEach; i-- > 0;)
      sequence.blocks.push_back(static_cast<std::int32_t>(i * kSequences + n));
    return sequence;
  }

  /// Runs a step and moves the sequences on; logits of the rows asked for, one after the other.
  std::vector<float> step(std::vector<StepSequence> parts, std::span<Sequence*> sequences) {
    const Activation logits = value_of(model_->step(parts, *kv_));
    std::vector<float> host(static_cast<std::size_t>(logits.rows * logits.cols));
    value_of(backend_->copy_out(logits, host));
    for (std::size_t i = 0; i < parts.size(); ++i)
      sequences[i]->position += static_cast<std::int64_t>(parts[i].tokens.size());
    return host;
  }

  /// Logits of every one of `tokens`, run in steps of `chunk` (0: all at once).
  std::vector<float> logits(Sequence& sequence, std::span<const std::int32_t> tokens,
                            std::size_t chunk = 0) {
    std::vector<float> all;
    while (!tokens.empty()) {
      const std::size_t count = chunk == 0 ? tokens.size() : std::min(chunk, tokens.size());
      Sequence* one = &sequence;
      const auto part = step({part_of(sequence, tokens.first(count), LogitsRows::kAll)}, {&one, 1});
      all.insert(all.end(), part.begin(), part.end());
      tokens = tokens.subspan(count);
    }
    return all;
  }

  /// The `count` best tokens after `prompt`, one by one.
  Tokens greedy(Sequence& sequence, std::span<const std::int32_t> prompt, std::size_t count) {
    Tokens found;
    Tokens next(prompt.begin(), prompt.end());
    while (found.size() < count) {
      Sequence* one = &sequence;
      const auto logits = step({part_of(sequence, next, LogitsRows::kLast)}, {&one, 1});
      next = {static_cast<std::int32_t>(std::max_element(logits.begin(), logits.end()) -
                                        logits.begin())};
      found.push_back(next.front());
    }
    return found;
  }

  static StepSequence part_of(const Sequence& sequence, std::span<const std::int32_t> tokens,
                              LogitsRows logits) {
    return {.tokens = tokens,
            .position = sequence.position,
            .blocks = sequence.blocks,
            .adapters = sequence.adapters,
            .logits = logits};
  }

 private:
  std::unique_ptr<Backend> backend_;
  std::unique_ptr<Model> model_;
  std::unique_ptr<KvStorage> kv_;
};

/// Reads an adapter folder and attaches it.
inline std::shared_ptr<const AttachedAdapter> attach(Model& model,
                                                     const std::filesystem::path& folder,
                                                     float factor = 1.0f) {
  auto adapter = std::make_shared<const Adapter>(value_of(load_adapter(folder)));
  return value_of(model.attach(std::move(adapter), factor));
}

}  // namespace bobby::testing
