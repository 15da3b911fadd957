#pragma once

#include <vector>

#include "backends/backend.h"
#include "tensor/formats/affine.h"

namespace bobby::cpu {

/// A weight where it lies. Vectors (norms, inv_freq) are also kept widened to fp32.
class CpuWeight : public Weight {
 public:
  explicit CpuWeight(const WeightView& view) : Weight(view) {
    if (view.rows != 1) return;
    vector_.resize(static_cast<std::size_t>(view.cols));
    dequantize_row(view, 0, vector_.data());
  }
  /// [cols], for a weight of one row; otherwise empty.
  const std::vector<float>& vector() const { return vector_; }

 private:
  std::vector<float> vector_;
};

inline const std::vector<float>& vector_of(const Weight& weight) {
  return static_cast<const CpuWeight&>(weight).vector();
}

}  // namespace bobby::cpu
