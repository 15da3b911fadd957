#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "backends/backend.h"
#include "base/result.h"
#include "model/model.h"

namespace bobby::cli {

/// Sequences that advance together on a model, by token ids alone: what is left of generation when
/// nothing is sampled. For measuring and for looking at logits.
class DecodeRun {
 public:
  /// Room for sequences of at most `max_tokens` tokens each.
  struct Room {
    std::int64_t rows = 1;
    std::int64_t max_tokens = 0;
    KvFormat kv_format = KvFormat::kF16;
  };

  /// `model` and `adapters` must outlive this.
  static Result<DecodeRun> make(Model& model, const Room& room,
                                std::span<const AdapterUse> adapters);

  /// Appends tokens[r] to each sequence r (all of one length) in one step. The logits are those
  /// asked for, [rows or rows * length, vocab_size], valid until the next step.
  Result<Activation> advance(const std::vector<std::vector<std::int32_t>>& tokens,
                             LogitsRows logits);

  const KvStorage& kv() const { return *kv_; }

 private:
  DecodeRun() = default;

  Model* model_ = nullptr;
  std::span<const AdapterUse> adapters_;
  std::unique_ptr<KvStorage> kv_;
  std::vector<std::vector<std::int32_t>> blocks_;  // of each sequence
  std::int64_t position_ = 0;
};

}  // namespace bobby::cli
