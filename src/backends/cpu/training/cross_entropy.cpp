#include "backends/cpu/training/cross_entropy.h"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <vector>

#include "backends/cpu/training/products.h"

namespace bobby::cpu {
namespace {

/// A row's logits to its loss and, in place, to the gradient of weight * loss.
template <typename T>
double row_loss(const TrainingKernels<T>& kernels, T* logits, std::int64_t vocab_size,
                std::int32_t target, float weight, bool with_gradient) {
  const T chosen = logits[target];
  T largest;
  const T sum = kernels.exponentials(logits, vocab_size, 1, &largest);
  if (with_gradient) {
    kernels.scale(logits, vocab_size, static_cast<T>(weight) / sum);
    logits[target] -= static_cast<T>(weight);
  }
  return std::log(static_cast<double>(sum)) + static_cast<double>(largest) -
         static_cast<double>(chosen);
}

template <typename T>
void copy_row(const T* from, std::int64_t cols, T* to) {
  std::copy_n(from, cols, to);
}

}  // namespace

template <typename T>
void cross_entropy(TrainingMachine<T>& machine, const CrossEntropyArgs<T>& args) {
  using Use = typename TrainingMachine<T>::Use;
  constexpr std::int64_t kTileRows = 12;
  const std::int64_t hidden_size = args.x.cols;
  const std::int64_t vocab_size = args.head->rows;
  assert(args.head->cols == hidden_size);

  std::vector<std::int64_t> rows;
  for (std::int64_t row = 0; row < args.x.rows; ++row)
    if (args.weights[static_cast<std::size_t>(row)] != 0.0f) rows.push_back(row);
  std::fill(args.row_loss.begin(), args.row_loss.end(), 0.0);
  if (args.x_gradient.data)
    std::fill_n(args.x_gradient.data, args.x_gradient.rows * args.x_gradient.cols, T{0});

  const auto row_bytes = vocab_size * static_cast<std::int64_t>(sizeof(T));
  const std::int64_t chunk =
      std::max<std::int64_t>(kLogitsBytes / row_bytes / kTileRows * kTileRows, kTileRows);
  const auto total = static_cast<std::int64_t>(rows.size());
  for (std::int64_t begin = 0; begin < total; begin += chunk) {
    const std::int64_t count = std::min(chunk, total - begin);
    const Matrix<T> logits = {machine.memory(Use::kLogits, count * vocab_size), count, vocab_size};
    const Matrix<T> x = {machine.memory(Use::kRows, count * hidden_size), count, hidden_size};
    const std::int64_t* chosen = rows.data() + begin;
    for (std::int64_t i = 0; i < count; ++i) copy_row(args.x.row(chosen[i]), hidden_size, x.row(i));

    const SumOfTerms<T> forward{.out = logits,
                                .terms = {{.a = x, .weight = args.head, .transposed = true}}};
    multiply_panels(machine, std::span<const SumOfTerms<T>>(&forward, 1));
    machine.for_each_row(count, vocab_size, [&](std::int64_t i) {
      const auto row = static_cast<std::size_t>(chosen[i]);
      args.row_loss[row] = row_loss(machine.kernels, logits.row(i), vocab_size, args.targets[row],
                                    args.weights[row], args.x_gradient.data != nullptr);
    });
    if (!args.x_gradient.data) continue;
    const SumOfTerms<T> backward{.out = x, .terms = {{.a = logits, .weight = args.head}}};
    multiply_panels(machine, std::span<const SumOfTerms<T>>(&backward, 1));
    for (std::int64_t i = 0; i < count; ++i)
      copy_row(x.row(i), hidden_size, args.x_gradient.row(chosen[i]));
  }
}

template void cross_entropy(TrainingMachine<float>&, const CrossEntropyArgs<float>&);
template void cross_entropy(TrainingMachine<double>&, const CrossEntropyArgs<double>&);

}  // namespace bobby::cpu
