// Each head of q or k: RMSNorm where the model has one, then the rotation by its position. The
// backward turns the gradient back, then goes through the norm.

#include "backends/cpu/training/rope.h"

#include <algorithm>
#include <cmath>
#include <cstddef>

namespace bobby::cpu {
namespace {

/// [longest, 2, half]: cosines, then sines, of each position.
template <typename T>
const T* angles_of(TrainingMachine<T>& machine, const RopeArgs<T>& args) {
  const auto half = static_cast<std::int64_t>(args.inv_freq.size());
  std::int64_t longest = 0;
  for (const TrainingSequence& sequence : args.sequences)
    longest = std::max(longest, sequence.count);
  T* angles = machine.memory(TrainingMachine<T>::Use::kAngles, longest * 2 * half);
  machine.for_each_row(longest, 16 * half, [&](std::int64_t position) {
    T* row = angles + position * 2 * half;
    for (std::int64_t i = 0; i < half; ++i) {
      // The product in fp32, as the oracle has it; its cosine and sine in fp64.
      const double angle =
          static_cast<float>(position) * args.inv_freq[static_cast<std::size_t>(i)];
      row[i] = static_cast<T>(std::cos(angle));
      row[half + i] = static_cast<T>(std::sin(angle));
    }
  });
  return angles;
}

/// Calls run(first number of the head in its matrix, the angles of its position) for every head.
template <typename T, typename F>
void for_each_head(TrainingMachine<T>& machine, const RopeArgs<T>& args, const F& run) {
  const auto half = static_cast<std::int64_t>(args.inv_freq.size());
  const T* angles = angles_of(machine, args);
  for (const TrainingSequence& sequence : args.sequences)
    machine.for_each_row(sequence.count, args.projected.cols, [&](std::int64_t position) {
      const std::int64_t begin = (sequence.begin + position) * args.projected.cols;
      for (std::int64_t col = 0; col < args.projected.cols; col += 2 * half)
        run(begin + col, angles + position * 2 * half);
    });
}

}  // namespace

template <typename T>
void rope(TrainingMachine<T>& machine, const RopeArgs<T>& args) {
  const auto half = static_cast<std::int64_t>(args.inv_freq.size());
  for_each_head(machine, args, [&](std::int64_t at, const T* angles) {
    const T* from = args.projected.data + at;
    T* to = args.rotated.data + at;
    if (args.norm) {
      machine.kernels.rms_norm(from, args.norm, 2 * half, args.eps, to);
      from = to;
    }
    machine.kernels.rotate(from, angles, angles + half, 1, half, to);
  });
}

template <typename T>
void rope_backward(TrainingMachine<T>& machine, const RopeArgs<T>& args,
                   Matrix<T> projected_gradient) {
  const auto half = static_cast<std::int64_t>(args.inv_freq.size());
  T* turned_back = args.norm ? machine.memory(TrainingMachine<T>::Use::kRows,
                                              args.projected.rows * args.projected.cols)
                             : projected_gradient.data;
  for_each_head(machine, args, [&](std::int64_t at, const T* angles) {
    machine.kernels.rotate(args.rotated.data + at, angles, angles + half, -1, half,
                           turned_back + at);
    if (!args.norm) return;
    T* gradient = projected_gradient.data + at;
    std::fill_n(gradient, 2 * half, T{0});
    machine.kernels.rms_norm_backward(args.projected.data + at, args.norm, turned_back + at,
                                      2 * half, args.eps, gradient);
  });
}

#define BOBBY_ROPE(T)                                          \
  template void rope(TrainingMachine<T>&, const RopeArgs<T>&); \
  template void rope_backward(TrainingMachine<T>&, const RopeArgs<T>&, Matrix<T>)
BOBBY_ROPE(float);
BOBBY_ROPE(double);
#undef BOBBY_ROPE

}  // namespace bobby::cpu
