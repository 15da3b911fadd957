#pragma once

#include <span>

#include "backends/cpu/training/machine.h"
#include "backends/training_ops.h"

namespace bobby::cpu {

/// TrainingRope for one of q and k; see there.
template <typename T>
struct RopeArgs {
  Matrix<T> projected = {};  ///< [rows, heads * head_dim]
  Matrix<T> rotated = {};    ///< the same: written by rope(), a gradient to rope_backward()
  const T* norm = nullptr;   ///< [head_dim], or null
  T eps = 0;
  std::span<const float> inv_freq = {};  ///< [head_dim / 2]
  std::span<const TrainingSequence> sequences = {};
};

template <typename T>
void rope(TrainingMachine<T>& machine, const RopeArgs<T>& args);

/// Overwrites projected_gradient, which may be args.rotated.
template <typename T>
void rope_backward(TrainingMachine<T>& machine, const RopeArgs<T>& args,
                   Matrix<T> projected_gradient);

}  // namespace bobby::cpu
