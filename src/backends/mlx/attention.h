#pragma once

#include <memory>
#include <optional>

#include "backends/backend.h"
#include "backends/mlx/activation_table.h"
#include "backends/mlx/kv.h"
#include "backends/mlx/machine.h"
#include "backends/mlx/row_attention.h"
#include "backends/mlx/step_rows.h"

namespace bobby::mlx_backend {

/// rope_and_store() and attention().
class AttentionEngine {
 public:
  AttentionEngine(const Machine& machine, ActivationTable& activations, Constants& constants)
      : machine_(machine), activations_(activations) {
    if (machine.own_kernels) row_attention_.emplace(machine, constants);
  }

  void rope_and_store(const RopeStore& args);
  void attention(const Attention& args);

 private:
  const StepRows& rows_of(std::span<const SequenceRows> sequences, std::int64_t block_tokens);
  const mx::array& wavelengths(const Weight& inv_freq);
  /// Normalised and rotated: [rows, heads, 1, head_dim].
  mx::array rotate(Activation x, const Weight* norm, const RopeStore& args, const StepRows& rows);
  mx::array rotate_by_parts(const mx::array& heads, const mx::array& inv_freq,
                            const StepRows& rows) const;
  mx::array attend(const Attention& args, const mx::array& q, const AttentionGroup& group) const;

  void rope_and_store_rows(const RopeStore& args, const StepRows& rows);

  const Machine& machine_;
  ActivationTable& activations_;
  std::optional<RowAttention> row_attention_;
  std::optional<StepRows> rows_;  // of the step under way
  std::uint64_t wavelengths_of_ = 0;
  std::optional<mx::array> wavelengths_;  // [head_dim / 2]
};

}  // namespace bobby::mlx_backend
