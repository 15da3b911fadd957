#include "cli/decode_run.h"

#include <algorithm>
#include <utility>

namespace bobby::cli {
namespace {

bool same(std::span<const AdapterUse> left, std::span<const AdapterUse> right) {
  return std::ranges::equal(left, right, [](const AdapterUse& a, const AdapterUse& b) {
    return a.adapter == b.adapter && a.factor == b.factor;
  });
}

}  // namespace

Result<DecodeRun> DecodeRun::make(Model& model, const Room& room,
                                  std::vector<std::span<const AdapterUse>> adapters) {
  DecodeRun run;
  run.model_ = &model;
  run.shared_ = room.shared_tokens;
  for (const auto& of_row : adapters) run.rows_.push_back({.adapters = of_row, .blocks = {}});
  run.find_first();
  KvShape shape = model.kv_shape(1, room.kv_format);
  shape.blocks = run.place_blocks((room.max_tokens + shape.block_tokens - 1) / shape.block_tokens,
                                  room.shared_tokens / shape.block_tokens);
  BOBBY_TRY(run.kv_, model.backend().allocate_kv(shape));
  return run;
}

void DecodeRun::find_first() {
  for (std::size_t index = 0; index < rows_.size(); ++index) {
    const auto like = std::ranges::find_if(first_, [&](std::size_t other) {
      return same(rows_[other].adapters, rows_[index].adapters);
    });
    rows_[index].like = like == first_.end() ? index : *like;
    if (like == first_.end()) first_.push_back(index);
    all_.push_back(index);
  }
}

/// Returns how many there are in all.
std::int64_t DecodeRun::place_blocks(std::int64_t blocks_a_row, std::int64_t shared_blocks) {
  std::int32_t next = 0;
  for (std::size_t index = 0; index < rows_.size(); ++index) {
    Row& row = rows_[index];
    if (row.like != index) {
      const auto& shared = rows_[row.like].blocks;
      row.blocks.assign(shared.begin(), shared.begin() + shared_blocks);
    }
    while (static_cast<std::int64_t>(row.blocks.size()) < blocks_a_row)
      row.blocks.push_back(next++);
  }
  return next;
}

/// The block in which the shared tokens end, for each row that did not compute them.
void DecodeRun::copy_tails() {
  const std::int64_t block_tokens = kv_->shape().block_tokens;
  if (shared_ % block_tokens == 0) return;
  const auto tail = static_cast<std::size_t>(shared_ / block_tokens);
  for (std::size_t index = 0; index < rows_.size(); ++index) {
    const Row& row = rows_[index];
    if (row.like != index)
      model_->backend().copy_kv_block(*kv_, rows_[row.like].blocks[tail], row.blocks[tail]);
  }
}

Result<Activation> DecodeRun::advance(const std::vector<std::vector<std::int32_t>>& tokens,
                                      LogitsRows logits) {
  std::vector<StepSequence> sequences;
  sequences.reserve(tokens.size());
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    const Row& row = rows_[computing()[i]];
    sequences.push_back({.tokens = tokens[i],
                         .position = position_,
                         .blocks = row.blocks,
                         .adapters = row.adapters,
                         .logits = logits});
  }
  BOBBY_TRY(const Activation result, model_->step(sequences, *kv_));
  const bool sharing = position_ < shared_;
  position_ += static_cast<std::int64_t>(tokens.front().size());
  if (sharing && position_ >= shared_) copy_tails();
  return result;
}

}  // namespace bobby::cli
