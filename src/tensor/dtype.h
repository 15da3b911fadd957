#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace bobby {

/// Element types that a checkpoint of ours may hold. (libs/safetensors knows more of them.)
enum class DType : std::uint8_t { kF32, kF16, kBF16, kU32, kI32, kU8, kI8, kI64 };

/// Bytes an element takes.
std::size_t dtype_bytes(DType dtype);

/// "float32", "bfloat16", ...: MLX's and NumPy's names.
std::string_view dtype_name(DType dtype);

}  // namespace bobby
