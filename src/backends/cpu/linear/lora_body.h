#pragma once

// LoRA's B, in the order that kernels.h states; the compiler makes vectors of it.

#include "backends/cpu/linear/kernels.h"

namespace bobby::cpu {
namespace {

void lora(const LoraArgs& a) {
  for (std::int64_t row = 0; row < a.rows; ++row) {
    const float* b = a.b + row * a.rank;
    float acc[8] = {};
    std::int64_t r = 0;
    for (; r + 8 <= a.rank; r += 8) {
      for (int i = 0; i < 8; ++i) acc[i] = __builtin_fmaf(b[r + i], a.z[r + i], acc[i]);
    }
    for (int i = 0; r + i < a.rank; ++i) acc[i] = __builtin_fmaf(b[r + i], a.z[r + i], acc[i]);
    for (int i = 0; i < 4; ++i) acc[i] += acc[i + 4];
    a.out[row] = (acc[0] + acc[2]) + (acc[1] + acc[3]);
  }
}

}  // namespace
}  // namespace bobby::cpu
