#pragma once

#include <array>
#include <span>

#include "backends/cpu/training/machine.h"
#include "backends/training_ops.h"
#include "base/random.h"

namespace bobby::cpu {

/// out = x where it is kept, divided by 1 - rate, and 0 elsewhere. `out` may be `x`. The same
/// numbers are drawn for the same (key, record, position, column), so the backward is this again.
template <typename T>
void drop(TrainingMachine<T>& machine, Matrix<T> x, const Dropout& dropout,
          std::span<const TrainingSequence> sequences, Matrix<T> out) {
  constexpr std::int64_t kWords = 4;
  const std::array<std::uint32_t, 2> key = {static_cast<std::uint32_t>(dropout.key),
                                            static_cast<std::uint32_t>(dropout.key >> 32)};
  const double rate = dropout.rate;
  const T factor = static_cast<T>(1.0 / (1.0 - rate));
  for (const TrainingSequence& sequence : sequences) {
    const auto record = static_cast<std::uint64_t>(sequence.record);
    machine.for_each_row(sequence.count, 8 * x.cols, [&](std::int64_t position) {
      const T* from = x.row(sequence.begin + position);
      T* to = out.row(sequence.begin + position);
      for (std::int64_t col = 0; col < x.cols; col += kWords) {
        const auto words = philox4x32(
            {static_cast<std::uint32_t>(position), static_cast<std::uint32_t>(col / kWords),
             static_cast<std::uint32_t>(record), static_cast<std::uint32_t>(record >> 32)},
            key);
        for (std::int64_t i = 0; i < kWords && col + i < x.cols; ++i) {
          const double drawn = words[static_cast<std::size_t>(i)] * 0x1.0p-32;
          to[col + i] = drawn >= rate ? from[col + i] * factor : T{0};
        }
      }
    });
  }
}

}  // namespace bobby::cpu
