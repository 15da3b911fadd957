// The affine formats by hand: packing, the two roundings, messages. The bulk of the proof is in
// tests/parity/quantize.

#include "tensor/formats/affine.h"

#include <algorithm>
#include <cstring>
#include <gtest/gtest.h>
#include <limits>
#include <numeric>
#include <vector>

#include "tensor/formats/dense.h"

namespace bobby {
namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kInfinity = std::numeric_limits<float>::infinity();

WeightView dense_view(const std::vector<float>& values, std::int64_t cols) {
  return {.name = "w",
          .format = {},
          .rows = static_cast<std::int64_t>(values.size()) / cols,
          .cols = cols,
          .weight = reinterpret_cast<const std::byte*>(values.data())};
}

float float_at(const std::vector<std::byte>& bytes, std::size_t index) {
  float value = 0.0f;
  std::memcpy(&value, bytes.data() + index * sizeof value, sizeof value);
  return value;
}

std::vector<float> row_of(const WeightView& view, std::int64_t row) {
  std::vector<float> out(static_cast<std::size_t>(view.cols));
  dequantize_row(view, row, out.data());
  return out;
}

std::vector<int> levels_of(const WeightView& view, std::int64_t row) {
  std::vector<std::uint8_t> out(static_cast<std::size_t>(view.cols));
  unpack_levels(view, row, out.data());
  return {out.begin(), out.end()};
}

/// Levels by definition: bit k of the row's little-endian bit string, one bit at a time.
std::vector<int> levels_bit_by_bit(const std::vector<std::byte>& packed, int bits, int count) {
  std::vector<int> levels(static_cast<std::size_t>(count), 0);
  for (int i = 0; i < count * bits; ++i) {
    const int bit = (std::to_integer<int>(packed[static_cast<std::size_t>(i / 8)]) >> (i % 8)) & 1;
    levels[static_cast<std::size_t>(i / bits)] |= bit << (i % bits);
  }
  return levels;
}

TEST(Affine, LevelsAreOneLittleEndianBitString) {
  for (const int bits : kAffineBits) {
    // Two rows, so that a wrong row stride shows; every byte value stands in it.
    constexpr int kCols = 128;
    std::vector<std::byte> packed(2 * kCols * static_cast<std::size_t>(bits) / 8);
    for (std::size_t i = 0; i < packed.size(); ++i) packed[i] = static_cast<std::byte>(i * 37 + 11);
    const std::vector<float> ones(8, 1.0f);
    const WeightView view{.name = "w",
                          .format = {WeightFormat::Kind::kAffine, DType::kF32, bits, 32},
                          .rows = 2,
                          .cols = kCols,
                          .weight = packed.data(),
                          .scales = reinterpret_cast<const std::byte*>(ones.data()),
                          .biases = reinterpret_cast<const std::byte*>(ones.data())};
    const auto expected = levels_bit_by_bit(packed, bits, 2 * kCols);
    auto both = levels_of(view, 0);
    const auto second = levels_of(view, 1);
    both.insert(both.end(), second.begin(), second.end());
    EXPECT_EQ(both, expected) << bits << " bits";
    EXPECT_EQ(row_of(view, 1)[5], static_cast<float>(second[5]) + 1.0f) << bits << " bits";
  }
}

/// A range of 2 * 15 from -16 makes scale 2 and bias -16, so that odd values are ties.
TEST(Affine, RoundingsPartOnTies) {
  std::vector<float> values(32, 0.0f);
  values[0] = -16.0f;
  values[1] = 14.0f;
  values[2] = -13.0f;  // 1.5 → 2 either way
  values[3] = -11.0f;  // 2.5 → 2 to even, 3 away from zero
  const auto cpu = quantize(dense_view(values, 32), 4, 32, Rounding::kCpu);
  const auto gpu = quantize(dense_view(values, 32), 4, 32, Rounding::kGpu);
  ASSERT_TRUE(cpu && gpu);
  EXPECT_EQ(float_at(cpu->scales, 0), 2.0f);
  EXPECT_EQ(float_at(cpu->biases, 0), -16.0f);
  EXPECT_EQ(cpu->scales, gpu->scales);
  EXPECT_EQ(levels_of(cpu->view(), 0)[2], 2);
  EXPECT_EQ(levels_of(gpu->view(), 0)[2], 2);
  EXPECT_EQ(levels_of(cpu->view(), 0)[3], 2);
  EXPECT_EQ(levels_of(gpu->view(), 0)[3], 3);
}

TEST(Affine, RoundingsPartOnNegativeGroups) {
  std::vector<float> values(32, -15.0f);
  values[7] = -30.0f;
  const auto cpu = quantize(dense_view(values, 32), 4, 32, Rounding::kCpu);
  const auto gpu = quantize(dense_view(values, 32), 4, 32, Rounding::kGpu);
  ASSERT_TRUE(cpu && gpu);
  EXPECT_EQ(float_at(cpu->scales, 0), 1.0f);  // [-30, -15] in 15 steps
  EXPECT_EQ(float_at(gpu->scales, 0), 2.0f);  // [-30, 0]
  EXPECT_EQ(row_of(cpu->view(), 0), values);
}

TEST(Affine, TheUpperEdgeMakesANegativeScale) {
  std::vector<float> values(32, 0.0f);
  values[0] = 15.0f;
  const auto got = quantize(dense_view(values, 32), 4, 32);
  ASSERT_TRUE(got);
  EXPECT_EQ(float_at(got->scales, 0), -1.0f);
  EXPECT_EQ(float_at(got->biases, 0), 15.0f);
  EXPECT_EQ(row_of(got->view(), 0), values);  // the edge and zero are levels
}

TEST(Affine, ErrorIsAtMostHalfAStep) {
  std::vector<float> values(128 * 4);
  for (std::size_t i = 0; i < values.size(); ++i)
    values[i] = static_cast<float>((i * 7919) % 1000) / 500.0f - 1.0f;
  for (const int bits : kAffineBits) {
    for (const int group_size : kAffineGroupSizes) {
      const auto got = quantize(dense_view(values, 128), bits, group_size);
      ASSERT_TRUE(got);
      // Stretched so that zero is a level, a step is at most 4/3 of range / (2^bits - 1), and what
      // lies beyond the last level is off by up to half the range's growth, again within one step.
      const float step = 2.0f / static_cast<float>((1 << bits) - 1) * (4.0f / 3.0f);
      for (std::int64_t row = 0; row < 4; ++row)
        for (std::size_t i = 0; i < 128; ++i)
          EXPECT_NEAR(row_of(got->view(), row)[i], values[static_cast<std::size_t>(row) * 128 + i],
                      step);
    }
  }
}

TEST(Affine, RowsStandAloneAndMayLieAnywhere) {
  std::vector<float> values(5 * 64);
  std::iota(values.begin(), values.end(), -100.0f);
  for (const int bits : kAffineBits) {
    const auto whole = quantize(dense_view(values, 64), bits, 32);
    ASSERT_TRUE(whole);
    // Rows 3 and 4, from and to memory that is aligned to nothing.
    std::vector<std::byte> source(values.size() * sizeof(float) + 1);
    std::memcpy(source.data() + 1, values.data(), source.size() - 1);
    WeightView dense = dense_view(values, 64);
    dense.weight = source.data() + 1;
    const std::size_t weight_bytes = whole->view().weight_row_bytes();
    const std::size_t scales_bytes = whole->view().scales_row_bytes();
    std::vector<std::byte> weight(2 * weight_bytes + 1);
    std::vector<std::byte> scales(2 * scales_bytes + 1);
    std::vector<std::byte> biases(2 * scales_bytes + 1);
    const AffineRows out{weight.data() + 1, scales.data() + 1, biases.data() + 1};
    ASSERT_TRUE(quantize_rows(dense, 3, 2, whole->format, Rounding::kGpu, out));
    EXPECT_TRUE(std::equal(weight.begin() + 1, weight.end(),
                           whole->weight.begin() + static_cast<std::ptrdiff_t>(3 * weight_bytes)));
    EXPECT_TRUE(std::equal(scales.begin() + 1, scales.end(),
                           whole->scales.begin() + static_cast<std::ptrdiff_t>(3 * scales_bytes)));
    WeightView part = whole->view();
    part.rows = 2;
    part.weight = out.weight;
    part.scales = out.scales;
    part.biases = out.biases;
    EXPECT_EQ(row_of(part, 1), row_of(whole->view(), 4));
    std::vector<float> x(64, 1.0f);
    std::vector<float> y(2);
    EXPECT_TRUE(quantized_matmul(x, 1, part, true, y));
  }
}

TEST(Affine, DenseRowsAreWidenedOrCopied) {
  const std::vector<float> values = {0.0f, 1.0f, -2.5f, 65504.0f, 0.1f, 3.0f};
  for (const DType dtype : {DType::kF32, DType::kF16, DType::kBF16}) {
    std::vector<std::byte> bytes(values.size() * dtype_bytes(dtype));
    narrow(dtype, values.data(), 6, bytes.data());
    std::vector<float> expected(6);
    widen(dtype, bytes.data(), 6, expected.data());
    const WeightView view{
        .name = "norm", .format = {.dtype = dtype}, .rows = 2, .cols = 3, .weight = bytes.data()};
    EXPECT_EQ(row_of(view, 1), std::vector<float>(expected.begin() + 3, expected.end()));
    std::vector<std::byte> copy(view.weight_row_bytes());
    dequantize_row_mlx(view, 1, copy.data());
    EXPECT_TRUE(std::equal(copy.begin(), copy.end(),
                           bytes.begin() + static_cast<std::ptrdiff_t>(copy.size())));
  }
}

TEST(Affine, MatmulIsTheRowsTimesX) {
  const std::vector<float> values = {1, 2, 3, 4, 5, 6};  // [2, 3]
  const WeightView w = dense_view(values, 3);
  std::vector<float> y(2);
  ASSERT_TRUE(quantized_matmul(std::vector<float>{1, 10, 100}, 1, w, true, y));
  EXPECT_EQ(y, (std::vector<float>{321, 654}));
  std::vector<float> plain(6);
  ASSERT_TRUE(quantized_matmul(std::vector<float>{1, 10, 2, 20}, 2, w, false, plain));
  EXPECT_EQ(plain, (std::vector<float>{41, 52, 63, 82, 104, 126}));
}

TEST(Affine, WrongArgumentsAreNamed) {
  const std::vector<float> values(96, 1.0f);
  const WeightView dense = dense_view(values, 96);
  const auto message = [](const auto& result) {
    return result ? std::string("no error") : result.error().to_string();
  };
  EXPECT_EQ(quantize(dense, 7, 32).error().code, ErrorCode::kUnsupported);
  EXPECT_EQ(message(quantize(dense, 7, 32)),
            "w: no affine format of this many bits: expected one of 2, 3, 4, 5, 6, 8, found 7");
  EXPECT_EQ(quantize(dense, 4, 16).error().code, ErrorCode::kUnsupported);
  EXPECT_EQ(quantize(dense, 4, 64).error().code, ErrorCode::kMismatch);
  EXPECT_EQ(message(quantize(dense, 4, 64)),
            "w: columns do not fill whole groups: expected a multiple of 64, found 96");
  WeightView integers = dense;
  integers.format.dtype = DType::kI32;
  EXPECT_EQ(quantize(integers, 4, 32).error().code, ErrorCode::kUnsupported);

  const WeightFormat format = affine_format(dense, 4, 32);
  EXPECT_EQ(quantize_rows(dense, 0, 2, format, Rounding::kGpu, {}).error().code, ErrorCode::kUsage);
  EXPECT_EQ(quantize_rows(dense, -1, 1, format, Rounding::kGpu, {}).error().code,
            ErrorCode::kUsage);
  const auto quantized = quantize(dense, 4, 32);
  ASSERT_TRUE(quantized);
  EXPECT_EQ(quantize(quantized->view(), 4, 32).error().code, ErrorCode::kUsage);
  std::vector<float> y(2);
  EXPECT_EQ(message(quantized_matmul(values, 1, quantized->view(), true, y)),
            "w: input or output of quantized_matmul has the wrong size: expected [1, 96] and "
            "[1, 1], found 96 and 2 elements");
}

TEST(Affine, ValuesThatAreNoNumbersAreRefused) {
  for (const float bad : {kNan, kInfinity, -kInfinity}) {
    std::vector<float> values(128, 1.0f);
    values[64 + 40] = bad;
    for (const Rounding rounding : {Rounding::kGpu, Rounding::kCpu}) {
      const auto got = quantize(dense_view(values, 64), 4, 32, rounding);
      ASSERT_FALSE(got);
      EXPECT_EQ(got.error().code, ErrorCode::kNumeric);
      EXPECT_EQ(got.error().problem, "row 1, columns 32 to 63 cannot be quantised");
    }
  }
  std::vector<float> wide(32, 3e38f);
  wide[1] = -3e38f;
  EXPECT_EQ(quantize(dense_view(wide, 32), 4, 32).error().code, ErrorCode::kNumeric);
}

}  // namespace
}  // namespace bobby
