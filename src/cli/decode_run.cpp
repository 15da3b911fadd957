#include "cli/decode_run.h"

#include <numeric>

namespace bobby::cli {

Result<DecodeRun> DecodeRun::make(Model& model, const Room& room,
                                  std::span<const AdapterUse> adapters) {
  DecodeRun run;
  run.model_ = &model;
  run.adapters_ = adapters;
  KvShape shape = model.kv_shape(1, room.kv_format);
  const std::int64_t blocks_a_row = (room.max_tokens + shape.block_tokens - 1) / shape.block_tokens;
  shape.blocks = room.rows * blocks_a_row;
  BOBBY_TRY(run.kv_, model.backend().allocate_kv(shape));
  run.blocks_.resize(static_cast<std::size_t>(room.rows));
  for (std::int64_t row = 0; row < room.rows; ++row) {
    auto& blocks = run.blocks_[static_cast<std::size_t>(row)];
    blocks.resize(static_cast<std::size_t>(blocks_a_row));
    std::iota(blocks.begin(), blocks.end(), static_cast<std::int32_t>(row * blocks_a_row));
  }
  return run;
}

Result<Activation> DecodeRun::advance(const std::vector<std::vector<std::int32_t>>& tokens,
                                      LogitsRows logits) {
  std::vector<StepSequence> sequences;
  for (std::size_t row = 0; row < tokens.size(); ++row)
    sequences.push_back({.tokens = tokens[row],
                         .position = position_,
                         .blocks = blocks_[row],
                         .adapters = adapters_,
                         .logits = logits});
  BOBBY_TRY(const Activation result, model_->step(sequences, *kv_));
  position_ += static_cast<std::int64_t>(tokens.front().size());
  return result;
}

}  // namespace bobby::cli
