#pragma once

#include <span>

#include "backends/cpu/training/machine.h"
#include "backends/training_ops.h"

namespace bobby::cpu {

/// TrainingAttention of any number type; see there.
template <typename T>
struct AttentionArgs {
  Matrix<T> q = {};
  Matrix<T> k = {};
  Matrix<T> v = {};
  Matrix<T> out = {};
  std::int64_t head_dim = 0;
  T scale = 0;
  std::span<const TrainingSequence> sequences = {};
};

template <typename T>
struct AttentionGradient {
  Matrix<T> out = {};  ///< read; the others are overwritten
  Matrix<T> q = {};
  Matrix<T> k = {};
  Matrix<T> v = {};
};

template <typename T>
void attention(TrainingMachine<T>& machine, const AttentionArgs<T>& args);

template <typename T>
void attention_backward(TrainingMachine<T>& machine, const AttentionArgs<T>& args,
                        const AttentionGradient<T>& gradient);

}  // namespace bobby::cpu
