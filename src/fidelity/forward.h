#pragma once

#include <array>
#include <memory>
#include <span>
#include <vector>

#include "backends/training_ops.h"
#include "base/result.h"
#include "training/network_weights.h"

namespace bobby::fidelity {

/// One projection of a block as a way has it: a weight, and a pair beside it or none.
struct UsedModule {
  const Weight* weight = nullptr;
  const TrainingLora* lora = nullptr;
};

/// The projections of a block, by BlockProjection.
using UsedModules = std::array<UsedModule, kBlockProjections>;

/// The forward of a batch over the operations of training, in fp32, a block at a time, so that each
/// block may run over several weights.
class Forward {
 public:
  /// All must outlive it. `rank`: the largest of the pairs; `dora`: whether any has magnitudes.
  Forward(Backend& backend, const NetworkWeights& base, std::int64_t rank, bool dora)
      : backend_(backend), ops_(*backend.training()), base_(base), rank_(rank), dora_(dora) {}

  /// Memory for a batch.
  Result<void> prepare(std::span<const TrainingSequence> sequences, std::int64_t rows);

  /// x, the block's input [rows, hidden_size], becomes its output.
  void block(std::size_t block, const UsedModules& modules, Activation x) const;
  /// logits [rows of x, vocab_size] of x, before the last norm; rows of x at most those of the
  /// batch.
  void head(const UsedModule& module, Activation x, Activation logits) const;

 private:
  TrainingProjection projection(std::size_t block, BlockProjection which,
                                const UsedModules& modules, Activation out) const;
  void attention(std::size_t block, const UsedModules& modules, Activation x) const;
  void mlp(std::size_t block, const UsedModules& modules, Activation x) const;

  Backend& backend_;
  TrainingOps& ops_;
  const NetworkWeights& base_;
  std::int64_t rank_;
  bool dora_;
  std::span<const TrainingSequence> sequences_;
  std::unique_ptr<Buffer> memory_;
  // [rows, ...] of the batch; the widths are those of their names.
  Activation hidden_, q_projected_, k_projected_, q_, k_, v_, attention_, gate_, up_, product_;
  std::array<Activation, kBlockProjections> low_{};
  std::array<Activation, kBlockProjections> unscaled_{};
};

}  // namespace bobby::fidelity
