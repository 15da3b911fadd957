#include "tensor/formats/dense.h"

#include <array>
#include <bit>
#include <cmath>
#include <cstring>
#include <gtest/gtest.h>
#include <limits>

#include "tensor/half.h"

namespace bobby {
namespace {

/// Every 16-bit pattern widens and narrows to itself (NaN to a NaN).
template <float (*widen16)(std::uint16_t), std::uint16_t (*narrow16)(float)>
void expect_round_trip() {
  for (std::uint32_t bits = 0; bits <= 0xffff; ++bits) {
    const float value = widen16(static_cast<std::uint16_t>(bits));
    if (std::isnan(value))
      EXPECT_TRUE(std::isnan(widen16(narrow16(value)))) << bits;
    else
      EXPECT_EQ(narrow16(value), bits);
  }
}

TEST(Half, EveryPatternSurvives) {
  expect_round_trip<bf16_to_float, float_to_bf16>();
  expect_round_trip<f16_to_float, float_to_f16>();
}

/// Between two neighbours: below the middle goes down, above goes up, the middle to the even one.
template <float (*widen16)(std::uint16_t), std::uint16_t (*narrow16)(float)>
void expect_nearest_even(std::uint16_t last_finite) {
  for (std::uint16_t bits = 0; bits < last_finite; ++bits) {
    const double low = widen16(bits);
    const double high = widen16(static_cast<std::uint16_t>(bits + 1));
    const auto middle = static_cast<float>((low + high) / 2);
    const std::uint16_t even = bits % 2 == 0 ? bits : static_cast<std::uint16_t>(bits + 1);
    ASSERT_EQ(narrow16(middle), even) << bits;
    ASSERT_EQ(narrow16(std::nextafter(middle, -1.0f)), bits);
    ASSERT_EQ(narrow16(std::nextafter(middle, std::numeric_limits<float>::infinity())), bits + 1);
    ASSERT_EQ(narrow16(-middle), even | 0x8000);
  }
}

TEST(Half, RoundsToNearestEven) {
  expect_nearest_even<bf16_to_float, float_to_bf16>(0x7f7f);
  expect_nearest_even<f16_to_float, float_to_f16>(0x7bff);
  EXPECT_EQ(float_to_f16(65519.99f), 0x7bff);
  EXPECT_EQ(float_to_f16(65520.0f), 0x7c00);
}

TEST(Dense, ConvertsAtAnyAlignment) {
  const std::array<float, 3> values = {1.5f, -0.0f, 1024.0f};
  for (const DType dtype : {DType::kF32, DType::kF16, DType::kBF16}) {
    std::array<std::byte, 16> bytes{};
    narrow(dtype, values.data(), 3, bytes.data() + 1);
    std::array<float, 3> back{};
    widen(dtype, bytes.data() + 1, 3, back.data());
    EXPECT_EQ(std::memcmp(back.data(), values.data(), sizeof values), 0) << dtype_name(dtype);
    EXPECT_EQ(bytes[0], std::byte{0});
    EXPECT_EQ(bytes[1 + 3 * dtype_bytes(dtype)], std::byte{0});
  }
  EXPECT_FALSE(is_float_dtype(DType::kU32));
  EXPECT_TRUE(is_float_dtype(DType::kBF16));
}

}  // namespace
}  // namespace bobby
