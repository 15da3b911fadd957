#include "backends/cpu/quantize.h"

#include <cmath>
#include <vector>

#include "backends/cpu/isa.h"
#include "backends/cpu/quantize/kernels.h"
#include "tensor/formats/dense.h"

namespace bobby {
namespace {

using cpu::QuantizeGroups;
using cpu::QuantizeKernels;
using cpu::QuantizeRow;

const QuantizeKernels& kernels_of(CpuIsa isa) {
#if defined(__x86_64__)
  if (isa == CpuIsa::kAvx2) return cpu::kAvx2Quantize;
  if (isa != CpuIsa::kPortable) return cpu::kAvx512Quantize;
#elif defined(__aarch64__)
  if (isa != CpuIsa::kPortable) return cpu::kNeonQuantize;
#endif
  return cpu::kPortableQuantize;
}

QuantizeRow::Element element_of(DType dtype) {
  if (dtype == DType::kBF16) return QuantizeRow::Element::kBf16;
  return dtype == DType::kF16 ? QuantizeRow::Element::kF16 : QuantizeRow::Element::kF32;
}

/// Rows of one weight, one after the other.
class RowWriter {
 public:
  RowWriter(const QuantizeKernels& kernels, const WeightView& dense, const WeightFormat& format,
            Rounding rounding)
      : kernels_(kernels),
        dtype_(format.dtype),
        row_{.element = element_of(dense.format.dtype),
             .cols = dense.cols,
             .bits = format.bits,
             .group_size = format.group_size,
             .away = rounding == Rounding::kGpu},
        groups_(dense.cols / format.group_size),
        numbers_(5 * static_cast<std::size_t>(groups_)),
        levels_(static_cast<std::size_t>(dense.cols)) {}

  /// False: the row has a group that cannot be quantised; nothing useful was written.
  bool write(const std::byte* weight, const AffineRows& out) {
    row_.weight = weight;
    float* at = numbers_.data();
    const QuantizeGroups groups = {.low = at,
                                   .high = at + groups_,
                                   .scale = at + 2 * groups_,
                                   .bias = at + 3 * groups_,
                                   .stored = at + 4 * groups_};
    if (!kernels_.ranges(row_, groups)) return false;
    for (std::int64_t i = 0; i < groups_; ++i)
      if (!std::isfinite(groups.high[i] - groups.low[i])) return false;
    kernels_.scales(row_, groups);
    narrow(dtype_, groups.scale, groups_, out.scales);
    narrow(dtype_, groups.bias, groups_, out.biases);
    widen(dtype_, out.scales, groups_, groups.stored);
    const cpu::QuantizeSums sums = kernels_.levels(row_, groups, levels_.data());
    kernels_.pack(levels_.data(), row_.cols, row_.bits, out.weight);
    if (out.errors != nullptr)
      *out.errors = {.error = sums.error, .weight = sums.weight, .largest = sums.largest};
    return true;
  }

 private:
  const QuantizeKernels& kernels_;
  DType dtype_;
  QuantizeRow row_;
  std::int64_t groups_;
  std::vector<float> numbers_;
  std::vector<std::uint8_t> levels_;
};

Result<void> quantize_with(const QuantizeKernels& kernels, const WeightView& dense,
                           std::int64_t begin, std::int64_t count, const WeightFormat& format,
                           Rounding rounding, const AffineRows& out) {
  BOBBY_CHECK(check_quantizable(dense, begin, count, format));
  WeightView target = dense;
  target.format = format;
  RowWriter writer(kernels, dense, format, rounding);
  for (std::int64_t i = 0; i < count; ++i) {
    const auto row = static_cast<std::size_t>(i);
    const AffineRows one = {.weight = out.weight + row * target.weight_row_bytes(),
                            .scales = out.scales + row * target.scales_row_bytes(),
                            .biases = out.biases + row * target.scales_row_bytes(),
                            .errors = out.errors == nullptr ? nullptr : out.errors + row};
    const std::byte* weight =
        dense.weight + static_cast<std::size_t>(begin + i) * dense.weight_row_bytes();
    // The plain definition says what is wrong with a row.
    if (!writer.write(weight, one))
      BOBBY_CHECK(quantize_rows(dense, begin + i, 1, format, rounding, one));
  }
  return {};
}

}  // namespace

Result<QuantizeRows> cpu_quantize_rows(std::optional<CpuIsa> isa) {
  BOBBY_TRY(const CpuIsa selected, cpu::select_isa(isa));
  const QuantizeKernels& kernels = kernels_of(selected);
  return [&kernels](const WeightView& dense, std::int64_t begin, std::int64_t count,
                    const WeightFormat& format, Rounding rounding, const AffineRows& out) {
    return quantize_with(kernels, dense, begin, count, format, rounding, out);
  };
}

}  // namespace bobby
