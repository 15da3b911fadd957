#include "fidelity/runtime_run.h"

#include <algorithm>

namespace bobby::fidelity {
namespace {

std::int64_t prompt_tokens(const Sequence& sequence) {
  return std::max<std::int64_t>(1, sequence.begin);
}

/// The KV blocks of each sequence, one after the other.
std::vector<std::vector<std::int32_t>> place_blocks(std::span<const Sequence> sequences,
                                                    std::int64_t block_tokens) {
  std::vector<std::vector<std::int32_t>> blocks;
  std::int32_t next = 0;
  for (const Sequence& sequence : sequences) {
    const auto tokens = static_cast<std::int64_t>(sequence.tokens.size());
    std::vector<std::int32_t>& own = blocks.emplace_back();
    for (std::int64_t begin = 0; begin < tokens; begin += block_tokens) own.push_back(next++);
  }
  return blocks;
}

}  // namespace

Result<void> run_as_written(Model& model, const AdapterUse& adapter, KvFormat format,
                            std::span<const Sequence> sequences, const RuntimeRows& take) {
  KvShape shape = model.kv_shape(1, format);
  const auto blocks = place_blocks(sequences, shape.block_tokens);
  shape.blocks = blocks.back().back() + 1;
  BOBBY_TRY(const std::unique_ptr<KvStorage> kv, model.backend().allocate_kv(shape));

  std::vector<float> host;
  std::vector<StepSequence> step;
  std::vector<RuntimePosition> positions;
  for (std::int64_t round = 0;; ++round) {
    step.clear();
    positions.clear();
    for (std::size_t i = 0; i < sequences.size(); ++i) {
      const std::span<const std::int32_t> tokens = sequences[i].tokens;
      const std::int64_t prompt = prompt_tokens(sequences[i]);
      const std::int64_t begin = round == 0 ? 0 : prompt + round - 1;
      const std::int64_t count = round == 0 ? prompt : 1;
      if (begin + count >= static_cast<std::int64_t>(tokens.size())) continue;
      step.push_back({.tokens = tokens.subspan(static_cast<std::size_t>(begin),
                                               static_cast<std::size_t>(count)),
                      .position = begin,
                      .blocks = blocks[i],
                      .adapters = std::span(&adapter, 1)});
      positions.push_back({i, begin + count - 1});
    }
    if (step.empty()) return {};
    BOBBY_TRY(const Activation logits, model.step(step, *kv));
    host.resize(static_cast<std::size_t>(logits.rows * logits.cols));
    BOBBY_CHECK(model.backend().copy_out(logits, host));
    BOBBY_CHECK(take(positions, host));
  }
}

}  // namespace bobby::fidelity
