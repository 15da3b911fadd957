#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "safetensors/error.h"

namespace safetensors {

/// Every element type of the format, in the official order (safetensors/src/tensor.rs, `Dtype`):
/// non-decreasing alignment, which is also the order that the writer lays tensors out by,
/// backwards.
enum class DType : std::uint8_t {
  kBool,        ///< "BOOL", one byte each
  kF4,          ///< "F4", 4 bits, two to a byte
  kF6E2M3,      ///< "F6_E2M3", 6 bits, four to three bytes
  kF6E3M2,      ///< "F6_E3M2"
  kU8,          ///< "U8"
  kI8,          ///< "I8"
  kF8E5M2,      ///< "F8_E5M2"
  kF8E4M3,      ///< "F8_E4M3"
  kF8E8M0,      ///< "F8_E8M0"
  kF8E4M3FNUZ,  ///< "F8_E4M3FNUZ"
  kF8E5M2FNUZ,  ///< "F8_E5M2FNUZ"
  kI16,         ///< "I16"
  kU16,         ///< "U16"
  kF16,         ///< "F16", IEEE 754 binary16
  kBF16,        ///< "BF16", the upper half of a binary32
  kI32,         ///< "I32"
  kU32,         ///< "U32"
  kF32,         ///< "F32"
  kC64,         ///< "C64", two binary32: real, imaginary
  kF64,         ///< "F64"
  kI64,         ///< "I64"
  kU64,         ///< "U64"
};

/// All of them, in the order above.
std::span<const DType> all_dtypes();

/// The name in a file's header: "BF16".
std::string_view dtype_name(DType dtype);

/// The inverse of dtype_name(); names are case-sensitive. Empty for a name the format has not.
std::optional<DType> parse_dtype(std::string_view name);

/// Bits an element takes: 4, 6, 8, 16, 32 or 64.
std::uint32_t dtype_bits(DType dtype);

/// Bytes that the address of an element must be a multiple of to be read in place: 1 for types of a
/// byte or less, 4 for C64, else the element's size.
std::size_t dtype_alignment(DType dtype);

/// Product of `shape`; 1 for [] (a scalar), 0 when a dimension is 0. kOverflow when the product of
/// the dimensions other than 0 does not fit in 64 bits: such a shape has no strides, even if empty.
Result<std::uint64_t> element_count(std::span<const std::uint64_t> shape);

/// Bytes of a tensor. kOverflow as above or when the bits do not fit in 64 bits; kSubByte when a
/// sub-byte dtype does not end on a byte (an odd number of F4).
Result<std::uint64_t> byte_count(DType dtype, std::span<const std::uint64_t> shape);

}  // namespace safetensors
