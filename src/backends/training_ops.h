#pragma once

// The seam of training: the operations that a network's forward and backward are written in, once,
// and that a machine implements. A backend that can train returns one from Backend::training().
//
// What every implementation promises:
//  - Activations, products and gradients are fp32; frozen weights are used as the checkpoint has
//    them, dequantised to fp32, and have no gradient.
//  - A row's result depends on the rows of its own sequence alone: not on the other sequences of
//    the batch, nor on the number of threads, bit for bit.
//  - A gradient of a trained tensor is summed sequence by sequence: each sequence's part is
//    computed by itself and added to what the gradient already holds, in the order of
//    `sequences`. Batches cut otherwise at sequences' ends so give the same bits.
//  - Backward operations add to input gradients where that is said, and overwrite otherwise.
//  - Arguments that break a stated shape are bugs of the caller: they abort in debug builds.

#include <cstdint>
#include <span>

#include "backends/backend.h"
#include "base/result.h"

namespace bobby {

/// Rows [begin, begin + count) of a batch: one sequence, at positions 0 .. count - 1. The sequences
/// of a batch cover its rows in order, without a gap.
struct TrainingSequence {
  std::int64_t begin = 0;
  std::int64_t count = 0;
  std::int64_t record = 0;  ///< what dropout is keyed by; the same wherever the sequence is packed
};

/// Which inputs of a low-rank pair are dropped: input [row, column] is kept where the random number
/// of (key, record, position, column) is at least `rate`, and then divided by 1 - rate.
struct Dropout {
  float rate = 0.0f;      ///< in [0, 1); 0: none
  std::uint64_t key = 0;  ///< of seed, step and module
};

/// A trained low-rank pair of one projection: out = multiplier * (x W^T + scale * (x A^T) B) +
/// bias.
struct TrainingLora {
  Activation a = {};           ///< [rank, in_features]
  Activation b = {};           ///< [rank, out_features]
  Activation multiplier = {};  ///< DoRA: [1, out_features], magnitude / norm; data null: plain LoRA
  Activation a_gradient = {};  ///< [rank, in_features], added to
  Activation b_gradient = {};  ///< [rank, out_features], added to
  Activation multiplier_gradient = {};  ///< DoRA: [1, out_features], added to
  float scale = 1.0f;
  Dropout dropout = {};
};

/// One projection of linear() and linear_backward().
struct TrainingProjection {
  const Weight* weight = nullptr;      ///< [out_features, in_features], frozen
  const Weight* bias = nullptr;        ///< dense [1, out_features], frozen, or null
  const TrainingLora* lora = nullptr;  ///< null: nothing is trained here
  Activation out = {};                 ///< forward: [rows, out_features], written
  Activation out_gradient = {};  ///< backward: [rows, out_features]; with DoRA it is overwritten
  Activation low =
      {};  ///< with lora: [rows, rank], scale * x A^T: the forward leaves it to the backward
  Activation unscaled =
      {};  ///< DoRA: [rows, out_features], out before multiplier and bias; as `low`
};

/// Arguments of rope(): q = rotate(q_norm(q_projected)), the same for k, positions by sequence.
struct TrainingRope {
  Activation q_projected = {};     ///< [rows, num_attention_heads * head_dim]
  Activation k_projected = {};     ///< [rows, num_key_value_heads * head_dim]
  Activation q = {};               ///< forward: written; backward: the gradient of q, read
  Activation k = {};               ///< forward: written; backward: the gradient of k, read
  const Weight* q_norm = nullptr;  ///< dense [1, head_dim], frozen; null: none
  const Weight* k_norm = nullptr;
  float rms_norm_eps = 0.0f;
  const Weight* inv_freq = nullptr;  ///< dense f32 [1, head_dim / 2]; pairs are (i, i + head_dim/2)
  std::span<const TrainingSequence> sequences = {};
};

/// Arguments of attention(): causal softmax(q k^T * scale) v within each sequence, grouped-query.
struct TrainingAttention {
  Activation q = {};    ///< [rows, num_attention_heads * head_dim]
  Activation k = {};    ///< [rows, num_key_value_heads * head_dim]
  Activation v = {};    ///< [rows, num_key_value_heads * head_dim]
  Activation out = {};  ///< [rows, num_attention_heads * head_dim]
  std::int64_t head_dim = 0;
  float scale = 0.0f;
  std::span<const TrainingSequence> sequences = {};
};

/// What attention_backward() takes and gives besides: all overwritten but the first.
struct TrainingAttentionGradient {
  Activation out = {};
  Activation q = {};
  Activation k = {};
  Activation v = {};
};

/// Arguments of cross_entropy(): the head and the loss of its logits, which never stand whole.
struct TrainingCrossEntropy {
  Activation x = {};                           ///< [rows, hidden_size], after the last norm
  const Weight* head = nullptr;                ///< [vocab_size, hidden_size], frozen
  std::span<const std::int32_t> targets = {};  ///< [rows], host memory
  std::span<const float> weights = {};         ///< [rows], host memory; 0: the row costs nothing
  std::span<double> row_loss = {};  ///< [rows], host memory: -log p(target), not weighted
  Activation x_gradient = {};  ///< of sum(weights * row_loss), overwritten; data null: not computed
};

class TrainingOps {
 public:
  virtual ~TrainingOps() = default;

  /// Host memory to the machine's; host holds rows * cols numbers.
  virtual Result<void> copy_in(std::span<const float> host, Activation to) = 0;
  /// The machine's memory to the host's; waits for it.
  virtual Result<void> copy_out(Activation from, std::span<float> host) = 0;
  virtual void zero(Activation x) = 0;
  virtual void copy(Activation from, Activation to) = 0;
  /// out = x + y. `out` may be `x`.
  virtual void add(Activation x, Activation y, Activation out) = 0;

  /// out[i] = row tokens[i] of `table`.
  virtual void embed(const Weight& table, std::span<const std::int32_t> tokens, Activation out) = 0;

  /// out = x / sqrt(mean(x^2) + eps) * weight, row by row.
  virtual void rms_norm(Activation x, const Weight& weight, float eps, Activation out) = 0;
  /// Adds to x_gradient what out_gradient means for x.
  virtual void rms_norm_backward(Activation x, const Weight& weight, float eps,
                                 Activation out_gradient, Activation x_gradient) = 0;

  /// Every projection of the same x [rows, in_features].
  virtual void linear(Activation x, std::span<const TrainingProjection> projections,
                      std::span<const TrainingSequence> sequences) = 0;
  /// Adds to the pairs' gradients, and overwrites x_gradient [rows, in_features] with the sum over
  /// the projections; data null: it is not needed.
  virtual void linear_backward(Activation x, std::span<const TrainingProjection> projections,
                               std::span<const TrainingSequence> sequences,
                               Activation x_gradient) = 0;
  /// DoRA: norms [1, out_features] = the norm of each row of W + scale * (A^T B)^T. A null `lora`
  /// gives those of W alone.
  virtual void row_norms(const Weight& weight, const TrainingLora* lora, Activation norms) = 0;

  virtual void rope(const TrainingRope& args) = 0;
  /// q_projected_gradient and k_projected_gradient (shapes of args.q and args.k) are overwritten;
  /// they may be args.q and args.k.
  virtual void rope_backward(const TrainingRope& args, Activation q_projected_gradient,
                             Activation k_projected_gradient) = 0;

  virtual void attention(const TrainingAttention& args) = 0;
  virtual void attention_backward(const TrainingAttention& args,
                                  const TrainingAttentionGradient& gradient) = 0;

  /// out = silu(gate) * up.
  virtual void swiglu(Activation gate, Activation up, Activation out) = 0;
  /// Overwrites gate_gradient and up_gradient; either may be out_gradient.
  virtual void swiglu_backward(Activation gate, Activation up, Activation out_gradient,
                               Activation gate_gradient, Activation up_gradient) = 0;

  /// Waits for the losses; what an operation before it could not do is told here, or by a copy.
  virtual Result<void> cross_entropy(const TrainingCrossEntropy& args) = 0;

  /// Bytes that this implementation needs besides the activations, for a batch of `rows` rows whose
  /// longest sequence is `longest`, with `head`.
  virtual std::size_t scratch_bytes(std::int64_t rows, std::int64_t longest,
                                    const Weight& head) const = 0;
};

}  // namespace bobby
