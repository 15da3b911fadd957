// out = multiplier * (x W^T + scale * (dropped(x) A^T) B) + bias, with W and bias frozen. `low` is
// scale * dropped(x) A^T, so that B's gradient is low^T out_gradient.
//
// Backward, with g = multiplier * out_gradient and low_gradient = scale * g B^T:
//   multiplier's: sum over rows of out_gradient * unscaled;  B's: low^T g
//   A's: low_gradient^T dropped(x);  x's: g W + dropped(low_gradient A)
// DoRA's multiplier is magnitude / norm, and the norm is taken as given, as mlx-lm and PEFT do.

#include "backends/cpu/training/linear.h"

#include <cassert>
#include <cmath>
#include <vector>

#include "backends/cpu/training/dropout.h"
#include "backends/cpu/training/products.h"

namespace bobby::cpu {
namespace {

template <typename T>
bool has_dropout(const LinearOutput<T>& output) {
  return output.lora && output.lora->dropout.rate > 0;
}

/// dropped(x): x itself without dropout.
template <typename T>
Matrix<T> dropped(TrainingMachine<T>& machine, Matrix<T> x, const LinearOutput<T>& output,
                  std::span<const TrainingSequence> sequences) {
  if (!has_dropout(output)) return x;
  const Matrix<T> kept = {machine.memory(TrainingMachine<T>::Use::kDropped, x.rows * x.cols),
                          x.rows, x.cols};
  drop(machine, x, output.lora->dropout, sequences, kept);
  return kept;
}

/// What stands behind the sum of a panel: multiplier and bias.
template <typename T>
void finish_panel(const TrainingKernels<T>& kernels, const LinearOutput<T>& output,
                  std::int64_t col, std::int64_t cols) {
  const T* multiplier = output.lora ? output.lora->multiplier.data : nullptr;
  if (!multiplier && !output.bias) return;
  for (std::int64_t row = 0; row < output.out.rows; ++row) {
    T* out = output.out.row(row) + col;
    if (multiplier) {
      std::copy_n(out, cols, output.unscaled.row(row) + col);
      kernels.multiply_by(out, multiplier + col, cols);
    }
    if (output.bias) kernels.add(out, output.bias + col, cols);
  }
}

/// DoRA: the multiplier's gradient, and out_gradient becomes that of the unscaled sum.
template <typename T>
void scale_backward(TrainingMachine<T>& machine, const LinearOutput<T>& output,
                    std::span<const TrainingSequence> sequences) {
  constexpr std::int64_t kCols = 64;
  const LoraPair<T>& lora = *output.lora;
  const auto& kernels = machine.kernels;
  machine.pool.parallel_for(
      output.out_gradient.cols, kCols, [&](std::int64_t begin, std::int64_t end, int) {
        T sum[kCols];
        T product[kCols];
        const std::int64_t cols = end - begin;
        for (const TrainingSequence& sequence : sequences) {
          std::fill_n(sum, cols, T{0});
          for (std::int64_t row = sequence.begin; row < sequence.begin + sequence.count; ++row) {
            T* gradient = output.out_gradient.row(row) + begin;
            std::copy_n(gradient, cols, product);
            kernels.multiply_by(product, output.unscaled.row(row) + begin, cols);
            kernels.add(sum, product, cols);
            kernels.multiply_by(gradient, lora.multiplier.data + begin, cols);
          }
          kernels.add(lora.multiplier_gradient.data + begin, sum, cols);
        }
      });
}

/// The pair's gradients; leaves the gradient of low / scale in `low_gradient`.
template <typename T>
void lora_backward(TrainingMachine<T>& machine, Matrix<T> x, const LinearOutput<T>& output,
                   std::span<const TrainingSequence> sequences, Matrix<T> low_gradient) {
  const LoraPair<T>& lora = *output.lora;
  if (lora.multiplier.data) scale_backward(machine, output, sequences);
  add_by_sequence(machine, output.low, output.out_gradient, sequences, lora.b_gradient);
  multiply_transposed(machine, output.out_gradient, lora.b, lora.scale, low_gradient);
  add_by_sequence(machine, low_gradient, dropped(machine, x, output, sequences), sequences,
                  lora.a_gradient);
}

}  // namespace

template <typename T>
void linear(TrainingMachine<T>& machine, Matrix<T> x, std::span<const LinearOutput<T>> outputs,
            std::span<const TrainingSequence> sequences) {
  std::vector<SumOfTerms<T>> sums;
  for (const LinearOutput<T>& output : outputs) {
    assert(output.weight->cols == x.cols && output.out.cols == output.weight->rows);
    SumOfTerms<T> sum{.out = output.out,
                      .terms = {{.a = x, .weight = output.weight, .transposed = true}}};
    if (output.lora) {
      multiply_transposed(machine, dropped(machine, x, output, sequences), output.lora->a,
                          output.lora->scale, output.low);
      sum.terms.push_back({.a = output.low, .dense = output.lora->b});
    }
    sums.push_back(std::move(sum));
  }
  multiply_panels(machine, std::span<const SumOfTerms<T>>(sums),
                  [&](std::size_t index, std::int64_t col, std::int64_t cols) {
                    finish_panel(machine.kernels, outputs[index], col, cols);
                  });
}

template <typename T>
void linear_backward(TrainingMachine<T>& machine, Matrix<T> x,
                     std::span<const LinearOutput<T>> outputs,
                     std::span<const TrainingSequence> sequences, Matrix<T> x_gradient) {
  using Use = typename TrainingMachine<T>::Use;
  std::int64_t ranks = 0;
  for (const LinearOutput<T>& output : outputs) ranks += output.lora ? output.lora->a.rows : 0;
  T* low_gradients = machine.memory(Use::kLowGradient, x.rows * ranks);

  SumOfTerms<T> sum{.out = x_gradient, .terms = {}};
  std::vector<std::pair<const LinearOutput<T>*, Matrix<T>>> through_dropout;
  for (const LinearOutput<T>& output : outputs) {
    if (!output.lora) {
      sum.terms.push_back({.a = output.out_gradient, .weight = output.weight});
      continue;
    }
    const Matrix<T> low_gradient = {low_gradients, x.rows, output.lora->a.rows};
    low_gradients += low_gradient.rows * low_gradient.cols;
    lora_backward(machine, x, output, sequences, low_gradient);
    sum.terms.push_back({.a = output.out_gradient, .weight = output.weight});
    if (has_dropout(output))
      through_dropout.emplace_back(&output, low_gradient);
    else
      sum.terms.push_back({.a = low_gradient, .dense = output.lora->a});
  }
  if (!x_gradient.data) return;
  multiply_panels(machine, std::span<const SumOfTerms<T>>(&sum, 1));
  for (const auto& [output, low_gradient] : through_dropout) {
    const Matrix<T> part = {machine.memory(Use::kDropped, x.rows * x.cols), x.rows, x.cols};
    const SumOfTerms<T> one{.out = part, .terms = {{.a = low_gradient, .dense = output->lora->a}}};
    multiply_panels(machine, std::span<const SumOfTerms<T>>(&one, 1));
    drop(machine, part, output->lora->dropout, sequences, part);
    machine.for_each_row(x.rows, x.cols, [&](std::int64_t row) {
      machine.kernels.add(x_gradient.row(row), part.row(row), x.cols);
    });
  }
}

template <typename T>
void row_norms(TrainingMachine<T>& machine, const WeightView& weight, const LoraPair<T>* lora,
               T* norms) {
  constexpr std::int64_t kRows = 8;
  machine.pool.parallel_for(
      weight.rows, kRows, [&](std::int64_t begin, std::int64_t end, int thread) {
        T* rows = machine.thread_memory(thread, 2 * kRows * weight.cols);
        machine.kernels.dequantize(tile_of(weight, begin, end - begin, 0, weight.cols), rows,
                                   weight.cols);
        if (lora) {
          T* change = rows + kRows * weight.cols;
          machine.kernels.multiply({.a = lora->b.data + begin,
                                    .a_row_stride = 1,
                                    .a_depth_stride = lora->b.cols,
                                    .b = lora->a.data,
                                    .b_stride = lora->a.cols,
                                    .c = change,
                                    .c_stride = weight.cols,
                                    .rows = end - begin,
                                    .cols = weight.cols,
                                    .depth = lora->a.rows});
          machine.kernels.scale(change, (end - begin) * weight.cols, lora->scale);
          machine.kernels.add(rows, change, (end - begin) * weight.cols);
        }
        for (std::int64_t row = begin; row < end; ++row) {
          const T* values = rows + (row - begin) * weight.cols;
          norms[row] = std::sqrt(machine.kernels.dot(values, values, weight.cols));
        }
      });
}

#define BOBBY_LINEAR(T)                                                                           \
  template void linear(TrainingMachine<T>&, Matrix<T>, std::span<const LinearOutput<T>>,          \
                       std::span<const TrainingSequence>);                                        \
  template void linear_backward(TrainingMachine<T>&, Matrix<T>, std::span<const LinearOutput<T>>, \
                                std::span<const TrainingSequence>, Matrix<T>);                    \
  template void row_norms(TrainingMachine<T>&, const WeightView&, const LoraPair<T>*, T*)
BOBBY_LINEAR(float);
BOBBY_LINEAR(double);
#undef BOBBY_LINEAR

}  // namespace bobby::cpu
