#pragma once

#include "backends/cpu/training/dequantize_body.h"
#include "backends/cpu/training/product_body.h"
#include "backends/cpu/training/row_body.h"

namespace bobby::cpu {

/// The table of a vector type; `dequantize` is of that type, or of another for double.
template <typename V>
constexpr TrainingKernels<typename V::Number> training_kernels(
    decltype(TrainingKernels<typename V::Number>::dequantize) dequantize) {
  using Products = ProductBody<V>;
  using Rows = RowBody<V>;
  return {.multiply = Products::multiply,
          .pack_transposed = Products::pack_transposed,
          .dequantize = dequantize,
          .rms_norm = Rows::rms_norm,
          .rms_norm_backward = Rows::rms_norm_backward,
          .rotate = Rows::rotate,
          .swiglu = Rows::swiglu,
          .swiglu_backward = Rows::swiglu_backward,
          .exponentials = Rows::exponentials,
          .scale = Rows::scale,
          .add = Rows::add,
          .multiply_by = Rows::multiply_by,
          .dot = Rows::dot,
          .softmax_backward = Rows::softmax_backward};
}

}  // namespace bobby::cpu
