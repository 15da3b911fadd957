#include "lora/tensor_file.h"

namespace bobby {

std::optional<DType> to_dtype(safetensors::DType dtype) {
  switch (dtype) {
    case safetensors::DType::kF32: return DType::kF32;
    case safetensors::DType::kF16: return DType::kF16;
    case safetensors::DType::kBF16: return DType::kBF16;
    case safetensors::DType::kU32: return DType::kU32;
    case safetensors::DType::kI32: return DType::kI32;
    case safetensors::DType::kU8: return DType::kU8;
    case safetensors::DType::kI8: return DType::kI8;
    case safetensors::DType::kI64: return DType::kI64;
    default: return std::nullopt;
  }
}

}  // namespace bobby
