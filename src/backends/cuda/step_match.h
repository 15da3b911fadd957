#pragma once

#include <optional>
#include <span>
#include <vector>

#include "backends/cuda/step_program.h"
#include "backends/cuda/step_recorder.h"

namespace bobby::cuda {

/// What the kernel needs to know of a step of the form that it computes.
struct StepForm {
  StepArgs args;  ///< shape, pointers; nothing of the division of labour or of one step
  std::vector<StepLayer> layers;
  Element element = Element::kF32;
};

/// embed; then for each layer rms_norm, linear q|k|v, rope_and_store, attention, linear o, add,
/// rms_norm, linear gate|up, swiglu, linear down, add; then select_rows, rms_norm, linear head. Up
/// to kStepRows rows, heads of 128, weights in tile order, no biases.
std::optional<StepForm> match_step(std::span<const StepOp> ops);

}  // namespace bobby::cuda
