#include "backends/cpu/training/row_ops.h"

namespace bobby::cpu {

template <typename T>
void swiglu(TrainingMachine<T>& machine, Matrix<T> gate, Matrix<T> up, Matrix<T> out) {
  machine.for_each_row(gate.rows, gate.cols, [&](std::int64_t row) {
    machine.kernels.swiglu(gate.row(row), up.row(row), gate.cols, out.row(row));
  });
}

template <typename T>
void swiglu_backward(TrainingMachine<T>& machine, Matrix<T> gate, Matrix<T> up,
                     Matrix<T> out_gradient, Matrix<T> gate_gradient, Matrix<T> up_gradient) {
  machine.for_each_row(gate.rows, gate.cols, [&](std::int64_t row) {
    machine.kernels.swiglu_backward(gate.row(row), up.row(row), out_gradient.row(row), gate.cols,
                                    gate_gradient.row(row), up_gradient.row(row));
  });
}

#define BOBBY_SWIGLU(T)                                                                          \
  template void swiglu(TrainingMachine<T>&, Matrix<T>, Matrix<T>, Matrix<T>);                    \
  template void swiglu_backward(TrainingMachine<T>&, Matrix<T>, Matrix<T>, Matrix<T>, Matrix<T>, \
                                Matrix<T>)
BOBBY_SWIGLU(float);
BOBBY_SWIGLU(double);
#undef BOBBY_SWIGLU

}  // namespace bobby::cpu
