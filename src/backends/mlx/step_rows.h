#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "backends/backend.h"
#include "backends/mlx/machine.h"

namespace bobby::mlx_backend {

/// Where tokens lie in a KvPool: a stretch, or slots one by one.
struct TokenSlots {
  std::int64_t count = 0;
  std::int64_t begin = -1;             ///< of the stretch; -1: not one
  std::optional<mx::array> numbers{};  ///< int32 [count], where it is not
};

/// Sequences whose rows are attended to together.
struct AttentionGroup {
  std::int64_t row_begin = 0;
  std::int64_t row_count = 0;
  /// One sequence: its tokens, with those of this step.
  TokenSlots tokens{};
  /// Several sequences of one row each: int32 [sequences, longest], and bool [sequences, 1, 1,
  /// longest], false beyond a sequence's own tokens.
  std::optional<mx::array> slots{};
  std::optional<mx::array> mask{};
};

/// What the rows of a step need in every layer, made once for all of them.
class StepRows {
 public:
  StepRows(std::span<const SequenceRows> sequences, std::int64_t block_tokens,
           const Machine& machine);

  /// Whether this was made of these.
  bool is_of(std::span<const SequenceRows> sequences, std::int64_t block_tokens) const;

  const mx::array& positions() const { return positions_; }  ///< int32 [rows]
  /// Whether every row is a sequence's last token.
  bool one_each() const;
  const TokenSlots& stored() const { return stored_; }  ///< of the step's own rows
  std::span<const AttentionGroup> groups() const { return groups_; }
  std::size_t count() const { return sequences_.size(); }
  const SequenceRows& sequence(std::size_t index) const { return sequences_[index].rows; }
  std::int32_t highest_block() const { return highest_block_; }

 private:
  struct Known {
    SequenceRows rows;
    std::vector<std::int32_t> blocks;
  };
  void group(const Machine& machine);
  AttentionGroup several(std::size_t first, std::size_t count, const Machine& machine) const;

  std::int64_t block_tokens_;
  std::vector<Known> sequences_;
  mx::array positions_;
  TokenSlots stored_;
  std::vector<AttentionGroup> groups_;
  std::int32_t highest_block_ = -1;
};

}  // namespace bobby::mlx_backend
