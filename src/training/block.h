#pragma once

#include <cstddef>
#include <span>

#include "backends/training_ops.h"
#include "training/activation_memory.h"
#include "training/network_weights.h"
#include "training/trained_pairs.h"

namespace bobby {

/// One block of the network, forward and backward. Qwen3 and Llama are told apart by their weights
/// alone: q_norm, k_norm and biases are there or not.
struct BlockRun {
  TrainingOps& ops;
  const NetworkWeights& weights;
  const TrainedPairs& pairs;
  const ActivationMemory& memory;
  std::span<const TrainingSequence> sequences;
  std::size_t block;

  /// memory.x(block) to memory.x(block + 1).
  void forward() const;
  /// All of the forward that the backward reads, from memory.x(block) again.
  void forward_to_keep() const;
  /// passing().x_gradient is that of the block's output, then of its input; `input_needed`: whether
  /// that is wanted. Adds to the gradients of the block's pairs.
  void backward(bool input_needed) const;

 private:
  const KeptBlock& kept() const { return memory.kept(block); }
  const BlockWeights& frozen() const { return weights.blocks[block]; }
  float eps() const { return weights.config.rms_norm_eps; }
  TrainingProjection projection(BlockProjection which, Activation out,
                                Activation out_gradient = {}) const;
  TrainingRope rope() const;
  TrainingAttention attention() const;
  Activation gradient_of(BlockProjection which) const;
  void attention_forward() const;
  void attention_backward(bool input_needed) const;
  void mlp_forward() const;
  void mlp_backward() const;
};

}  // namespace bobby
