#pragma once

#include <span>

#include "backends/cpu/training/machine.h"
#include "backends/training_ops.h"

namespace bobby::cpu {

/// TrainingLora of any number type; see there.
template <typename T>
struct LoraPair {
  Matrix<T> a = {};
  Matrix<T> b = {};
  Matrix<T> multiplier = {};
  Matrix<T> a_gradient = {};
  Matrix<T> b_gradient = {};
  Matrix<T> multiplier_gradient = {};
  T scale = 1;
  Dropout dropout = {};
};

/// TrainingProjection of any number type; see there.
template <typename T>
struct LinearOutput {
  const WeightView* weight = nullptr;
  const T* bias = nullptr;
  const LoraPair<T>* lora = nullptr;
  Matrix<T> out = {};
  Matrix<T> out_gradient = {};
  Matrix<T> low = {};
  Matrix<T> unscaled = {};
};

template <typename T>
void linear(TrainingMachine<T>& machine, Matrix<T> x, std::span<const LinearOutput<T>> outputs,
            std::span<const TrainingSequence> sequences);

template <typename T>
void linear_backward(TrainingMachine<T>& machine, Matrix<T> x,
                     std::span<const LinearOutput<T>> outputs,
                     std::span<const TrainingSequence> sequences, Matrix<T> x_gradient);

/// norms[j] = the norm of row j of W + scale * (A^T B)^T; of W alone without a pair.
template <typename T>
void row_norms(TrainingMachine<T>& machine, const WeightView& weight, const LoraPair<T>* lora,
               T* norms);

}  // namespace bobby::cpu
