#include "safetensors/tensor.h"

#include "text.h"

namespace safetensors {

std::string describe(std::span<const std::uint64_t> shape) {
  // No real tensor has this many dimensions; a hostile one may have millions.
  constexpr std::size_t kShown = 16;
  std::string text = "[";
  for (std::size_t i = 0; i < shape.size() && i < kShown; ++i)
    text.append(i == 0 ? "" : ", ").append(std::to_string(shape[i]));
  if (shape.size() > kShown) text += ", ... " + std::to_string(shape.size()) + " dimensions";
  return text + "]";
}

std::string describe(DType dtype, std::span<const std::uint64_t> shape) {
  return std::string(dtype_name(dtype)) + " " + describe(shape);
}

std::uint64_t Tensor::size() const {
  return element_count(shape).value_or(0);
}

Error Tensor::view_error(ErrorCode code) const {
  if (code == ErrorCode::kOutOfMemory)
    return {.code = code,
            .tensor = name,
            .problem = "out of memory for an aligned copy",
            .found = std::to_string(byte_size()) + " bytes"};
  return {.code = code,
          .tensor = name,
          .problem = "the requested element type cannot hold this dtype",
          .found = describe(dtype, shape)};
}

}  // namespace safetensors
