#include "safetensors/dtype.h"

#include <array>
#include <string>

#include "safetensors/tensor.h"

namespace safetensors {
namespace {

struct Row {
  DType dtype;
  std::string_view name;
  std::uint32_t bits;
  std::size_t alignment;
};

// In the order of the enum, so that a dtype is an index.
constexpr std::array kTable = {
    Row{DType::kBool, "BOOL", 8, 1},
    Row{DType::kF4, "F4", 4, 1},
    Row{DType::kF6E2M3, "F6_E2M3", 6, 1},
    Row{DType::kF6E3M2, "F6_E3M2", 6, 1},
    Row{DType::kU8, "U8", 8, 1},
    Row{DType::kI8, "I8", 8, 1},
    Row{DType::kF8E5M2, "F8_E5M2", 8, 1},
    Row{DType::kF8E4M3, "F8_E4M3", 8, 1},
    Row{DType::kF8E8M0, "F8_E8M0", 8, 1},
    Row{DType::kF8E4M3FNUZ, "F8_E4M3FNUZ", 8, 1},
    Row{DType::kF8E5M2FNUZ, "F8_E5M2FNUZ", 8, 1},
    Row{DType::kI16, "I16", 16, 2},
    Row{DType::kU16, "U16", 16, 2},
    Row{DType::kF16, "F16", 16, 2},
    Row{DType::kBF16, "BF16", 16, 2},
    Row{DType::kI32, "I32", 32, 4},
    Row{DType::kU32, "U32", 32, 4},
    Row{DType::kF32, "F32", 32, 4},
    Row{DType::kC64, "C64", 64, 4},
    Row{DType::kF64, "F64", 64, 8},
    Row{DType::kI64, "I64", 64, 8},
    Row{DType::kU64, "U64", 64, 8},
};

constexpr bool table_is_in_enum_order() {
  for (std::size_t i = 0; i < kTable.size(); ++i)
    if (static_cast<std::size_t>(kTable[i].dtype) != i) return false;
  return true;
}
static_assert(table_is_in_enum_order());

constexpr auto kDTypes = [] {
  std::array<DType, kTable.size()> dtypes{};
  for (std::size_t i = 0; i < kTable.size(); ++i) dtypes[i] = kTable[i].dtype;
  return dtypes;
}();

const Row& row(DType dtype) {
  return kTable[static_cast<std::size_t>(dtype)];
}

}  // namespace

std::span<const DType> all_dtypes() {
  return kDTypes;
}

std::string_view dtype_name(DType dtype) {
  return row(dtype).name;
}

std::optional<DType> parse_dtype(std::string_view name) {
  for (const Row& candidate : kTable)
    if (candidate.name == name) return candidate.dtype;
  return std::nullopt;
}

std::uint32_t dtype_bits(DType dtype) {
  return row(dtype).bits;
}

std::size_t dtype_alignment(DType dtype) {
  return row(dtype).alignment;
}

Result<std::uint64_t> element_count(std::span<const std::uint64_t> shape) {
  std::uint64_t product = 1;
  bool empty = false;
  for (const std::uint64_t dimension : shape) {
    if (dimension == 0) {
      empty = true;
    } else if (__builtin_mul_overflow(product, dimension, &product)) {
      return fail({.code = ErrorCode::kOverflow,
                   .problem = "the product of the shape exceeds 64 bits",
                   .found = describe(shape)});
    }
  }
  return empty ? 0 : product;
}

Result<std::uint64_t> byte_count(DType dtype, std::span<const std::uint64_t> shape) {
  Result<std::uint64_t> count = element_count(shape);
  if (!count) return count;
  std::uint64_t bits = 0;
  if (__builtin_mul_overflow(*count, std::uint64_t{dtype_bits(dtype)}, &bits))
    return fail({.code = ErrorCode::kOverflow,
                 .problem = "the size in bits exceeds 64 bits",
                 .found = describe(dtype, shape)});
  if (bits % 8 != 0)
    return fail({.code = ErrorCode::kSubByte,
                 .problem = "the data does not end on a byte",
                 .expected = "a multiple of 8 bits",
                 .found = std::to_string(bits) + " bits for " + describe(dtype, shape)});
  return bits / 8;
}

}  // namespace safetensors
