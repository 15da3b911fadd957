#pragma once

#include "backends/cuda/training/machine.h"
#include "backends/training_ops.h"

namespace bobby::cuda {

/// Bytes of logits that stand at a time.
inline constexpr std::int64_t kLogitsBytes = std::int64_t{640} << 20;

/// Rows whose logits stand at a time, whole tiles of a product.
std::int64_t logit_rows(std::int64_t rows, std::int64_t vocab_size);

/// cross_entropy() of the seam of training; waits for the losses.
Result<void> training_cross_entropy(TrainingMachine& machine, const TrainingCrossEntropy& args);

}  // namespace bobby::cuda
