#pragma once

#include <span>

#include "backends/cpu/training/machine.h"
#include "tensor/weight_view.h"

namespace bobby::cpu {

/// TrainingCrossEntropy of any number type; see there.
template <typename T>
struct CrossEntropyArgs {
  Matrix<T> x = {};
  const WeightView* head = nullptr;
  std::span<const std::int32_t> targets = {};
  std::span<const float> weights = {};
  std::span<double> row_loss = {};
  Matrix<T> x_gradient = {};
};

/// Bytes that the logits of one chunk of rows may take.
inline constexpr std::int64_t kLogitsBytes = std::int64_t{64} << 20;

/// The loss of each row, and x's gradient of their weighted sum: logits of a chunk of rows, in
/// place turned into their gradient, which is multiplied by the head.
template <typename T>
void cross_entropy(TrainingMachine<T>& machine, const CrossEntropyArgs<T>& args);

}  // namespace bobby::cpu
