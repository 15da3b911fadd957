#pragma once

// Products of whole matrices, shared out to threads. Each thread dequantises the columns that it
// works on itself, a panel of kPanelCols at a time: for the rows of a batch that costs a few per
// cent of the product, and no memory.

#include <cstdint>
#include <span>
#include <vector>

#include "backends/cpu/training/machine.h"
#include "backends/training_ops.h"
#include "tensor/weight_view.h"

namespace bobby::cpu {

/// a b, where b is a frozen weight or its transpose, or a matrix in memory.
template <typename T>
struct Term {
  Matrix<T> a = {};                    ///< [rows, depth]
  const WeightView* weight = nullptr;  ///< b = W [depth, cols], or
  bool transposed = false;             ///< b = W^T, of W [cols, depth]
  Matrix<T> dense = {};                ///< without a weight: b itself, [depth, cols]
};

/// out = the sum of the terms, in their order.
template <typename T>
struct SumOfTerms {
  Matrix<T> out = {};
  std::vector<Term<T>> terms = {};
};

/// Columns [col, col + cols), at most kPanelCols, of one sum.
template <typename T>
void multiply_panel(TrainingMachine<T>& machine, const SumOfTerms<T>& sum, std::int64_t col,
                    std::int64_t cols, int thread);

/// All sums, and finish(sum's number, first column, columns) for each panel once it is there.
template <typename T, typename Finish>
void multiply_panels(TrainingMachine<T>& machine, std::span<const SumOfTerms<T>> sums,
                     const Finish& finish) {
  struct Panel {
    std::size_t sum;
    std::int64_t col;
  };
  std::vector<Panel> panels;
  for (std::size_t i = 0; i < sums.size(); ++i)
    for (std::int64_t col = 0; col < sums[i].out.cols; col += kPanelCols)
      panels.push_back({i, col});
  machine.pool.parallel_for(static_cast<std::int64_t>(panels.size()), 1,
                            [&](std::int64_t begin, std::int64_t end, int thread) {
                              for (std::int64_t index = begin; index < end; ++index) {
                                const Panel& panel = panels[static_cast<std::size_t>(index)];
                                const SumOfTerms<T>& sum = sums[panel.sum];
                                const std::int64_t cols =
                                    std::min(kPanelCols, sum.out.cols - panel.col);
                                multiply_panel(machine, sum, panel.col, cols, thread);
                                finish(panel.sum, panel.col, cols);
                              }
                            });
}

template <typename T>
void multiply_panels(TrainingMachine<T>& machine, std::span<const SumOfTerms<T>> sums) {
  multiply_panels(machine, sums, [](std::size_t, std::int64_t, std::int64_t) {});
}

/// out = scale * x b^T, for a b [cols, depth] of few rows in memory.
template <typename T>
void multiply_transposed(TrainingMachine<T>& machine, Matrix<T> x, Matrix<T> b, T scale,
                         Matrix<T> out);

/// sum [a.cols, b.cols] += a^T b, one sequence after the other.
template <typename T>
void add_by_sequence(TrainingMachine<T>& machine, Matrix<T> a, Matrix<T> b,
                     std::span<const TrainingSequence> sequences, Matrix<T> sum);

/// `tile` of a weight, as the kernels take it.
WeightTile tile_of(const WeightView& weight, std::int64_t row, std::int64_t rows, std::int64_t col,
                   std::int64_t cols);

}  // namespace bobby::cpu
