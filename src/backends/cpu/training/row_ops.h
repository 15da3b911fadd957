#pragma once

// Operations that see one row at a time: rms_norm, swiglu, the embedding's look-up.

#include <span>

#include "backends/cpu/training/machine.h"
#include "tensor/weight_view.h"

namespace bobby::cpu {

template <typename T>
void rms_norm(TrainingMachine<T>& machine, Matrix<T> x, const T* weight, T eps, Matrix<T> out);
/// Adds to x_gradient.
template <typename T>
void rms_norm_backward(TrainingMachine<T>& machine, Matrix<T> x, const T* weight, T eps,
                       Matrix<T> out_gradient, Matrix<T> x_gradient);

template <typename T>
void swiglu(TrainingMachine<T>& machine, Matrix<T> gate, Matrix<T> up, Matrix<T> out);
template <typename T>
void swiglu_backward(TrainingMachine<T>& machine, Matrix<T> gate, Matrix<T> up,
                     Matrix<T> out_gradient, Matrix<T> gate_gradient, Matrix<T> up_gradient);

/// out[i] = row tokens[i] of the table. The table is frozen: there is no backward.
template <typename T>
void embed(TrainingMachine<T>& machine, const WeightView& table,
           std::span<const std::int32_t> tokens, Matrix<T> out);

/// out = x + y. `out` may be `x`.
template <typename T>
void add(TrainingMachine<T>& machine, Matrix<T> x, Matrix<T> y, Matrix<T> out);

}  // namespace bobby::cpu
