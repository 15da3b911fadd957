#pragma once

// linear() and linear_backward() of the seam of training: a product on tensor cores of x and the
// frozen weights in bf16, with the pairs' part as more depth of the same product.

#include <span>

#include "backends/cuda/training/machine.h"
#include "backends/training_ops.h"

namespace bobby::cuda {

Result<void> training_linear(TrainingMachine& machine, Activation x,
                             std::span<const TrainingProjection> projections,
                             std::span<const TrainingSequence> sequences);

Result<void> training_linear_backward(TrainingMachine& machine, Activation x,
                                      std::span<const TrainingProjection> projections,
                                      std::span<const TrainingSequence> sequences,
                                      Activation x_gradient);

Result<void> training_row_norms(TrainingMachine& machine, const Weight& weight,
                                const TrainingLora* lora, Activation norms);

}  // namespace bobby::cuda
