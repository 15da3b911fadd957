#include "backends/cpu/training/row_ops.h"

namespace bobby::cpu {

template <typename T>
void rms_norm(TrainingMachine<T>& machine, Matrix<T> x, const T* weight, T eps, Matrix<T> out) {
  machine.for_each_row(x.rows, x.cols, [&](std::int64_t row) {
    machine.kernels.rms_norm(x.row(row), weight, x.cols, eps, out.row(row));
  });
}

template <typename T>
void rms_norm_backward(TrainingMachine<T>& machine, Matrix<T> x, const T* weight, T eps,
                       Matrix<T> out_gradient, Matrix<T> x_gradient) {
  machine.for_each_row(x.rows, x.cols, [&](std::int64_t row) {
    machine.kernels.rms_norm_backward(x.row(row), weight, out_gradient.row(row), x.cols, eps,
                                      x_gradient.row(row));
  });
}

#define BOBBY_RMS_NORM(T)                                                         \
  template void rms_norm(TrainingMachine<T>&, Matrix<T>, const T*, T, Matrix<T>); \
  template void rms_norm_backward(TrainingMachine<T>&, Matrix<T>, const T*, T, Matrix<T>, Matrix<T>)
BOBBY_RMS_NORM(float);
BOBBY_RMS_NORM(double);
#undef BOBBY_RMS_NORM

}  // namespace bobby::cpu
