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

/// Panels that a thread may take at once, so that many rows are read from memory less often.
inline constexpr std::int64_t kPanelsAtOnce = 3;

/// A thread's piece of work: columns [col, col + cols) of a sum, at most kPanelsAtOnce panels.
struct PanelRange {
  std::size_t sum = 0;
  std::int64_t col = 0;
  std::int64_t cols = 0;
};

template <typename T>
void multiply_range(TrainingMachine<T>& machine, const SumOfTerms<T>& sum, const PanelRange& range,
                    int thread);

/// Work on sums of `cols[i]` columns for so many threads; a result does not depend on how it is
/// cut.
std::vector<PanelRange> share_panels(std::span<const std::int64_t> cols, std::int64_t rows,
                                     std::int64_t threads);

/// All sums, and finish(sum's number, first column, columns) for each range once it is there.
template <typename T, typename Finish>
void multiply_panels(TrainingMachine<T>& machine, std::span<const SumOfTerms<T>> sums,
                     const Finish& finish) {
  std::vector<std::int64_t> cols;
  for (const SumOfTerms<T>& sum : sums) cols.push_back(sum.out.cols);
  const std::vector<PanelRange> ranges =
      share_panels(cols, sums.front().out.rows, machine.pool.threads());
  machine.pool.parallel_for(static_cast<std::int64_t>(ranges.size()), 1,
                            [&](std::int64_t begin, std::int64_t end, int thread) {
                              for (std::int64_t i = begin; i < end; ++i) {
                                const PanelRange& range = ranges[static_cast<std::size_t>(i)];
                                multiply_range(machine, sums[range.sum], range, thread);
                                finish(range.sum, range.col, range.cols);
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
