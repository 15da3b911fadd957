#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/result.h"
#include "lora/weight_delta.h"
#include "tensor/formats/affine.h"
#include "tensor/weight_view.h"

namespace bobby {

/// Where a fused weight's numbers are rounded.
enum class FuseRounding : std::uint8_t {
  kOnce,  ///< base, change and sum in fp32; the fused number alone is rounded
  kMlx,   ///< as mlx_lm.fuse on the CPU: base, change and sum, each in the base's type; LoRA alone
};

/// A weight with an adapter's change worked into it, computed by rows, which do not depend on each
/// other: threads may share a weight out. `delta` null: the base alone, in the other type.
struct FusedRows {
  const WeightView& base;
  const WeightDelta* delta = nullptr;
  DType dtype = DType::kBF16;
  FuseRounding rounding = FuseRounding::kOnce;

  /// Rows [begin, begin + count) as `dtype` at out [count, cols]; adds to `kept` what is left of
  /// the change. kNumeric: a norm of zero under DoRA, or a number that `dtype` cannot hold.
  Result<void> dense(std::int64_t begin, std::int64_t count, std::byte* out, DeltaKept* kept) const;
  /// The same rows, rounded to `dtype` and then quantised to `format` as mx.quantize does.
  Result<void> quantized(std::int64_t begin, std::int64_t count, const WeightFormat& format,
                         Rounding rounding, const AffineRows& out, DeltaKept* kept) const;
};

}  // namespace bobby
