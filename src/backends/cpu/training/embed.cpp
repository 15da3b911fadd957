#include <algorithm>
#include <cassert>

#include "backends/cpu/training/products.h"
#include "backends/cpu/training/row_ops.h"

namespace bobby::cpu {

template <typename T>
void embed(TrainingMachine<T>& machine, const WeightView& table,
           std::span<const std::int32_t> tokens, Matrix<T> out) {
  assert(static_cast<std::int64_t>(tokens.size()) == out.rows && table.cols == out.cols);
  machine.for_each_row(out.rows, out.cols, [&](std::int64_t row) {
    const std::int64_t token = tokens[static_cast<std::size_t>(row)];
    assert(token >= 0 && token < table.rows);
    machine.kernels.dequantize(tile_of(table, token, 1, 0, table.cols), out.row(row), out.cols);
  });
}

template <typename T>
void add(TrainingMachine<T>& machine, Matrix<T> x, Matrix<T> y, Matrix<T> out) {
  assert(x.rows == y.rows && x.cols == y.cols && x.rows == out.rows && x.cols == out.cols);
  machine.for_each_row(x.rows, x.cols, [&](std::int64_t row) {
    if (out.data != x.data) std::copy_n(x.row(row), x.cols, out.row(row));
    machine.kernels.add(out.row(row), y.row(row), x.cols);
  });
}

#define BOBBY_EMBED(T)                                                                       \
  template void embed(TrainingMachine<T>&, const WeightView&, std::span<const std::int32_t>, \
                      Matrix<T>);                                                            \
  template void add(TrainingMachine<T>&, Matrix<T>, Matrix<T>, Matrix<T>)
BOBBY_EMBED(float);
BOBBY_EMBED(double);
#undef BOBBY_EMBED

}  // namespace bobby::cpu
