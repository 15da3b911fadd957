#include "backends/mlx/step_rows.h"

#include <algorithm>

namespace bobby::mlx_backend {
namespace {

/// So many sequences of one row are quicker one by one than gathered and masked.
constexpr std::size_t kFewSequences = 4;

mx::array integers(const std::vector<std::int32_t>& values, mx::Shape shape) {
  return mx::array(values.data(), std::move(shape), mx::int32);
}

std::int32_t slot_of(std::span<const std::int32_t> blocks, std::int64_t position,
                     std::int64_t block_tokens) {
  const std::int32_t block = blocks[static_cast<std::size_t>(position / block_tokens)];
  return static_cast<std::int32_t>(block * block_tokens + position % block_tokens);
}

TokenSlots slots_of(const std::vector<std::int32_t>& slots) {
  TokenSlots found{.count = static_cast<std::int64_t>(slots.size())};
  const auto gap = std::ranges::adjacent_find(
      slots, [](std::int32_t left, std::int32_t right) { return right != left + 1; });
  if (gap == slots.end())
    found.begin = slots.front();
  else
    found.numbers = integers(slots, {static_cast<int>(slots.size())});
  return found;
}

std::vector<std::int32_t> slots_up_to(const SequenceRows& sequence, std::int64_t begin,
                                      std::int64_t end, std::int64_t block_tokens) {
  std::vector<std::int32_t> slots;
  for (std::int64_t position = begin; position < end; ++position)
    slots.push_back(slot_of(sequence.blocks, position, block_tokens));
  return slots;
}

}  // namespace

StepRows::StepRows(std::span<const SequenceRows> sequences, std::int64_t block_tokens,
                   const Machine& machine)
    : block_tokens_(block_tokens), positions_(mx::array(0)) {
  std::vector<std::int32_t> positions, slots;
  for (const SequenceRows& sequence : sequences) {
    sequences_.push_back({sequence, {sequence.blocks.begin(), sequence.blocks.end()}});
    const std::int64_t end = sequence.position + sequence.row_count;
    for (std::int64_t position = sequence.position; position < end; ++position) {
      positions.push_back(static_cast<std::int32_t>(position));
      slots.push_back(slot_of(sequence.blocks, position, block_tokens));
    }
    const auto used = static_cast<std::size_t>((end + block_tokens - 1) / block_tokens);
    for (const std::int32_t block : sequence.blocks.first(used))
      highest_block_ = std::max(highest_block_, block);
  }
  for (Known& known : sequences_) known.rows.blocks = known.blocks;
  positions_ = integers(positions, {static_cast<int>(positions.size())});
  stored_ = slots_of(slots);
  group(machine);
}

bool StepRows::is_of(std::span<const SequenceRows> sequences, std::int64_t block_tokens) const {
  return block_tokens == block_tokens_ &&
         std::ranges::equal(sequences, sequences_, [](const SequenceRows& a, const Known& b) {
           return a.row_begin == b.rows.row_begin && a.row_count == b.rows.row_count &&
                  a.position == b.rows.position && std::ranges::equal(a.blocks, b.blocks);
         });
}

bool StepRows::one_each() const {
  return std::ranges::all_of(sequences_,
                             [](const Known& known) { return known.rows.row_count == 1; });
}

void StepRows::group(const Machine& machine) {
  for (std::size_t i = 0; i < sequences_.size();) {
    std::size_t single = 0;
    while (i + single < sequences_.size() && sequences_[i + single].rows.row_count == 1) ++single;
    if (single > kFewSequences) {
      groups_.push_back(several(i, single, machine));
      i += single;
      continue;
    }
    for (std::size_t end = i + std::max<std::size_t>(single, 1); i < end; ++i) {
      const SequenceRows& rows = sequences_[i].rows;
      groups_.push_back({.row_begin = rows.row_begin,
                         .row_count = rows.row_count,
                         .tokens = slots_of(
                             slots_up_to(rows, 0, rows.position + rows.row_count, block_tokens_))});
    }
  }
}

AttentionGroup StepRows::several(std::size_t first, std::size_t count,
                                 const Machine& machine) const {
  const auto sequences = std::span(sequences_).subspan(first, count);
  std::int64_t longest = 0;
  for (const Known& known : sequences) longest = std::max(longest, known.rows.position + 1);
  std::vector<std::int32_t> slots, lengths;
  for (const Known& known : sequences) {
    const std::vector<std::int32_t> own =
        slots_up_to(known.rows, 0, known.rows.position + 1, block_tokens_);
    slots.insert(slots.end(), own.begin(), own.end());
    // Beyond its own a sequence reads its last token again, which the mask hides.
    slots.insert(slots.end(), static_cast<std::size_t>(longest) - own.size(), own.back());
    lengths.push_back(static_cast<std::int32_t>(own.size()));
  }
  const int rows = static_cast<int>(count);
  const mx::array columns = mx::arange(size_of(longest), machine.stream);
  return {.row_begin = sequences.front().rows.row_begin,
          .row_count = static_cast<std::int64_t>(count),
          .slots = integers(slots, {rows, size_of(longest)}),
          .mask = mx::reshape(mx::less(columns, integers(lengths, {rows, 1}), machine.stream),
                              {rows, 1, 1, size_of(longest)}, machine.stream)};
}

}  // namespace bobby::mlx_backend
