#include "tensor/weight_view.h"

#include <fmt/format.h>

namespace bobby {

std::string WeightFormat::to_string() const {
  if (kind == Kind::kDense) return std::string(dtype_name(dtype));
  return fmt::format("affine {}-bit group {} ({} scales)", bits, group_size, dtype_name(dtype));
}

std::size_t WeightView::weight_row_bytes() const {
  const auto columns = static_cast<std::size_t>(cols);
  if (format.kind == WeightFormat::Kind::kDense) return columns * dtype_bytes(format.dtype);
  return columns * static_cast<std::size_t>(format.bits) / 8;
}

std::size_t WeightView::scales_row_bytes() const {
  if (format.kind == WeightFormat::Kind::kDense) return 0;
  return static_cast<std::size_t>(cols / format.group_size) * dtype_bytes(format.dtype);
}

std::size_t WeightView::total_bytes() const {
  return static_cast<std::size_t>(rows) * (weight_row_bytes() + 2 * scales_row_bytes());
}

}  // namespace bobby
