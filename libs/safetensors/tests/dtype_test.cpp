#include <map>
#include <string_view>

#include "support.h"

namespace safetensors::testing {
namespace {

TEST(DTypes, NamesAndBitsAreTheFormats) {
  // Written out from the format's description, not from the table under test.
  const std::map<std::string_view, std::uint32_t> bits = {
      {"BOOL", 8},        {"F4", 4},      {"F6_E2M3", 6}, {"F6_E3M2", 6}, {"U8", 8},
      {"I8", 8},          {"F8_E5M2", 8}, {"F8_E4M3", 8}, {"F8_E8M0", 8}, {"F8_E4M3FNUZ", 8},
      {"F8_E5M2FNUZ", 8}, {"I16", 16},    {"U16", 16},    {"F16", 16},    {"BF16", 16},
      {"I32", 32},        {"U32", 32},    {"F32", 32},    {"C64", 64},    {"F64", 64},
      {"I64", 64},        {"U64", 64}};
  EXPECT_EQ(all_dtypes().size(), bits.size());
  for (const auto& [name, size] : bits) {
    const std::optional<DType> dtype = parse_dtype(name);
    ASSERT_TRUE(dtype) << name;
    EXPECT_EQ(dtype_name(*dtype), name);
    EXPECT_EQ(dtype_bits(*dtype), size);
  }
  EXPECT_EQ(parse_dtype("float32"), std::nullopt);
}

TEST(DTypes, AlignmentNeverFallsAlongTheOrder) {
  std::size_t last = 1;
  for (const DType dtype : all_dtypes()) {
    if (dtype == DType::kC64) continue;  // two F32 of 4 bytes each, placed by its 8
    EXPECT_GE(dtype_alignment(dtype), last) << dtype_name(dtype);
    last = dtype_alignment(dtype);
  }
}

TEST(DTypes, ElementCount) {
  using Shape = std::vector<std::uint64_t>;
  const std::uint64_t half = std::uint64_t{1} << 63;
  EXPECT_EQ(element_count(Shape{}).value(), 1u);
  EXPECT_EQ(element_count(Shape{2, 3, 4}).value(), 24u);
  EXPECT_EQ(element_count(Shape{2, 0}).value(), 0u);
  EXPECT_EQ(element_count(Shape{~std::uint64_t{0}}).value(), ~std::uint64_t{0});
  EXPECT_EQ(element_count(Shape{half, 2}).error().code, ErrorCode::kOverflow);
  EXPECT_EQ(element_count(Shape{0, half, 2}).error().code, ErrorCode::kOverflow);
}

TEST(DTypes, ByteCount) {
  using Shape = std::vector<std::uint64_t>;
  EXPECT_EQ(byte_count(DType::kF32, Shape{2, 3}).value(), 24u);
  EXPECT_EQ(byte_count(DType::kF4, Shape{6}).value(), 3u);
  EXPECT_EQ(byte_count(DType::kF6E3M2, Shape{8}).value(), 6u);
  EXPECT_EQ(byte_count(DType::kF4, Shape{5}).error().code, ErrorCode::kSubByte);
  EXPECT_EQ(byte_count(DType::kF4, Shape{5, 0}).value(), 0u);
  EXPECT_EQ(byte_count(DType::kU8, Shape{std::uint64_t{1} << 61}).error().code,
            ErrorCode::kOverflow);
  EXPECT_EQ(byte_count(DType::kU8, Shape{(std::uint64_t{1} << 61) - 1}).value(),
            (std::uint64_t{1} << 61) - 1);
}

TEST(ErrorCodes, NamesAreDistinct) {
  std::map<std::string_view, int> seen;
  for (int code = 0; code <= static_cast<int>(ErrorCode::kOutOfMemory); ++code)
    EXPECT_EQ(++seen[code_name(static_cast<ErrorCode>(code))], 1)
        << code_name(static_cast<ErrorCode>(code));
  EXPECT_EQ(seen.count("unknown"), 0u);
}

}  // namespace
}  // namespace safetensors::testing
