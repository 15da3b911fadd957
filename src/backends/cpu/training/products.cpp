#include "backends/cpu/training/products.h"

#include <algorithm>
#include <cassert>

namespace bobby::cpu {
namespace {

// Columns of a weight's rows that are dequantised before they are transposed: whole groups, and
// with kPanelCols rows half of a first-level cache.
constexpr std::int64_t kTransposeCols = 128;

/// A panel of b, and the numbers from one of its rows to the next.
template <typename T>
struct Packed {
  const T* b;
  std::int64_t stride;
};

/// Depth [begin, begin + depth) of a panel, in `memory` unless b lies there as it is. `rows` is
/// room for kPanelCols rows of kTransposeCols numbers.
template <typename T>
Packed<T> pack(const TrainingKernels<T>& kernels, const Term<T>& term, std::int64_t col,
               std::int64_t cols, std::int64_t begin, std::int64_t depth, T* memory, T* rows) {
  if (term.weight == nullptr)
    return {term.dense.data + begin * term.dense.cols + col, term.dense.cols};
  if (!term.transposed) {
    kernels.dequantize(tile_of(*term.weight, begin, depth, col, cols), memory, kPanelCols);
    return {memory, kPanelCols};
  }
  for (std::int64_t k = 0; k < depth; k += kTransposeCols) {
    const std::int64_t count = std::min(kTransposeCols, depth - k);
    kernels.dequantize(tile_of(*term.weight, col, cols, begin + k, count), rows, kTransposeCols);
    kernels.pack_transposed(rows, kTransposeCols, cols, count, memory + k * kPanelCols);
  }
  return {memory, kPanelCols};
}

WeightRows::Element element_of(DType dtype) {
  if (dtype == DType::kF32) return WeightRows::Element::kF32;
  return dtype == DType::kF16 ? WeightRows::Element::kF16 : WeightRows::Element::kBf16;
}

}  // namespace

WeightTile tile_of(const WeightView& weight, std::int64_t row, std::int64_t rows, std::int64_t col,
                   std::int64_t cols) {
  assert(row + rows <= weight.rows && col + cols <= weight.cols);
  return {.from = {.weight = weight.weight,
                   .scales = weight.scales,
                   .biases = weight.biases,
                   .weight_row_bytes = weight.weight_row_bytes(),
                   .scales_row_bytes = weight.scales_row_bytes(),
                   .element = element_of(weight.format.dtype),
                   .bits = weight.format.bits,
                   .group_size = weight.format.group_size},
          .row = row,
          .rows = rows,
          .col = col,
          .cols = cols};
}

std::vector<PanelRange> share_panels(std::span<const std::int64_t> cols, std::int64_t rows,
                                     std::int64_t threads) {
  // Few rows stay in the cache anyway.
  constexpr std::int64_t kManyRows = 256;
  const auto ranges_at = [&](std::int64_t panels) {
    std::int64_t ranges = 0;
    for (const std::int64_t one : cols)
      ranges += (one + panels * kPanelCols - 1) / (panels * kPanelCols);
    return ranges;
  };
  const auto longest_share = [&](std::int64_t panels) {
    return (ranges_at(panels) + threads - 1) / threads * panels;
  };
  std::int64_t panels = rows < kManyRows ? 1 : kPanelsAtOnce;
  while (panels > 1 && longest_share(panels) > longest_share(1)) --panels;

  std::vector<PanelRange> ranges;
  for (std::size_t sum = 0; sum < cols.size(); ++sum)
    for (std::int64_t col = 0; col < cols[sum]; col += panels * kPanelCols)
      ranges.push_back({sum, col, std::min(panels * kPanelCols, cols[sum] - col)});
  return ranges;
}

template <typename T>
void multiply_range(TrainingMachine<T>& machine, const SumOfTerms<T>& sum, const PanelRange& range,
                    int thread) {
  constexpr std::int64_t kPanel = kPanelCols * kDepthBlock;
  constexpr std::int64_t kRowsAtOnce = 48;  // stay in the second-level cache beside the panels
  const std::int64_t panels = (range.cols + kPanelCols - 1) / kPanelCols;
  const std::int64_t rows_at_once = panels == 1 ? sum.out.rows : kRowsAtOnce;
  T* memory = machine.thread_memory(thread, panels * kPanel + kPanelCols * kTransposeCols);
  T* const rows = memory + panels * kPanel;
  Packed<T> packed[kPanelsAtOnce];
  bool add = false;
  for (const Term<T>& term : sum.terms)
    for (std::int64_t begin = 0; begin < term.a.cols; begin += kDepthBlock) {
      const std::int64_t depth = std::min(kDepthBlock, term.a.cols - begin);
      const auto cols_of = [&](std::int64_t panel) {
        return std::min(kPanelCols, range.cols - panel * kPanelCols);
      };
      for (std::int64_t panel = 0; panel < panels; ++panel)
        packed[panel] = pack(machine.kernels, term, range.col + panel * kPanelCols, cols_of(panel),
                             begin, depth, memory + panel * kPanel, rows);
      for (std::int64_t row = 0; row < sum.out.rows; row += rows_at_once)
        for (std::int64_t panel = 0; panel < panels; ++panel)
          machine.kernels.multiply({.a = term.a.row(row) + begin,
                                    .a_row_stride = term.a.cols,
                                    .b = packed[panel].b,
                                    .b_stride = packed[panel].stride,
                                    .c = sum.out.row(row) + range.col + panel * kPanelCols,
                                    .c_stride = sum.out.cols,
                                    .rows = std::min(rows_at_once, sum.out.rows - row),
                                    .cols = cols_of(panel),
                                    .depth = depth,
                                    .add = add});
      add = true;
    }
}

template <typename T>
void multiply_transposed(TrainingMachine<T>& machine, Matrix<T> x, Matrix<T> b, T scale,
                         Matrix<T> out) {
  constexpr std::int64_t kRows = 48;
  using Use = typename TrainingMachine<T>::Use;
  const std::int64_t depth = b.cols;
  const std::int64_t panels = (b.rows + kPanelCols - 1) / kPanelCols;
  T* packed = machine.memory(Use::kPacked, panels * kPanelCols * depth);
  for (std::int64_t panel = 0; panel < panels; ++panel) {
    const std::int64_t first = panel * kPanelCols;
    machine.kernels.pack_transposed(b.row(first), depth, std::min(kPanelCols, b.rows - first),
                                    depth, packed + first * depth);
  }
  machine.pool.parallel_for(x.rows, kRows, [&](std::int64_t begin, std::int64_t end, int) {
    for (std::int64_t first = 0; first < b.rows; first += kPanelCols)
      machine.kernels.multiply({.a = x.row(begin),
                                .a_row_stride = depth,
                                .b = packed + first * depth,
                                .b_stride = kPanelCols,
                                .c = out.row(begin) + first,
                                .c_stride = out.cols,
                                .rows = end - begin,
                                .cols = std::min(kPanelCols, b.rows - first),
                                .depth = depth});
    machine.kernels.scale(out.row(begin), (end - begin) * out.cols, scale);
  });
}

template <typename T>
void add_by_sequence(TrainingMachine<T>& machine, Matrix<T> a, Matrix<T> b,
                     std::span<const TrainingSequence> sequences, Matrix<T> sum) {
  constexpr std::int64_t kCols = 64;
  machine.pool.parallel_for(b.cols, kCols, [&](std::int64_t begin, std::int64_t end, int thread) {
    const std::int64_t cols = end - begin;
    T* part = machine.thread_memory(thread, a.cols * cols);
    for (const TrainingSequence& sequence : sequences) {
      machine.kernels.multiply({.a = a.row(sequence.begin),
                                .a_row_stride = 1,
                                .a_depth_stride = a.cols,
                                .b = b.row(sequence.begin) + begin,
                                .b_stride = b.cols,
                                .c = part,
                                .c_stride = cols,
                                .rows = a.cols,
                                .cols = cols,
                                .depth = sequence.count});
      for (std::int64_t row = 0; row < a.cols; ++row)
        machine.kernels.add(sum.row(row) + begin, part + row * cols, cols);
    }
  });
}

#define BOBBY_PRODUCTS(T)                                                                          \
  template void multiply_range(TrainingMachine<T>&, const SumOfTerms<T>&, const PanelRange&, int); \
  template void multiply_transposed(TrainingMachine<T>&, Matrix<T>, Matrix<T>, T, Matrix<T>);      \
  template void add_by_sequence(TrainingMachine<T>&, Matrix<T>, Matrix<T>,                         \
                                std::span<const TrainingSequence>, Matrix<T>)
BOBBY_PRODUCTS(float);
BOBBY_PRODUCTS(double);
#undef BOBBY_PRODUCTS

}  // namespace bobby::cpu
