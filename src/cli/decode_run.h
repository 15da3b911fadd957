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
    std::int64_t max_tokens = 0;
    KvFormat kv_format = KvFormat::kF16;
    /// Tokens at the beginning that rows with the same adapters have in common. They are computed
    /// once, for the first such row, into blocks that all read; the last one, if they end inside
    /// it, is copied. That is what the generator does with a request.
    std::int64_t shared_tokens = 0;
  };

  /// `adapters`: those of each row. `model` and what `adapters` refer to must outlive this.
  static Result<DecodeRun> make(Model& model, const Room& room,
                                std::vector<std::span<const AdapterUse>> adapters);

  /// The rows that the next advance() is about: all, or while what is shared is being computed the
  /// first of those with the same adapters.
  std::span<const std::size_t> computing() const { return position_ < shared_ ? first_ : all_; }

  /// Appends tokens[i] to the sequence of row computing()[i] (all of one length, none beyond the
  /// shared tokens while these last) in one step. The logits are those asked for, [rows or rows *
  /// length, vocab_size], valid until the next step.
  Result<Activation> advance(const std::vector<std::vector<std::int32_t>>& tokens,
                             LogitsRows logits);

  const KvStorage& kv() const { return *kv_; }

 private:
  struct Row {
    std::span<const AdapterUse> adapters;
    std::vector<std::int32_t> blocks;
    std::size_t like = 0;  // the first row with the same adapters, or itself
  };

  DecodeRun() = default;
  void find_first();
  std::int64_t place_blocks(std::int64_t blocks_a_row, std::int64_t shared_blocks);
  void copy_tails();

  Model* model_ = nullptr;
  std::unique_ptr<KvStorage> kv_;
  std::vector<Row> rows_;
  std::vector<std::size_t> all_, first_;
  std::int64_t shared_ = 0;
  std::int64_t position_ = 0;
};

}  // namespace bobby::cli
