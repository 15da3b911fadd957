// quantize, dequantize and quantized_matmul through the shared library.

#include <bobby/bobby.h>
#include <cmath>
#include <gtest/gtest.h>
#include <limits>
#include <vector>

namespace bobby_api_test {
namespace {

bobby::Matrix numbers(std::int64_t rows, std::int64_t cols) {
  bobby::Matrix matrix{{}, rows, cols};
  for (std::int64_t i = 0; i < rows * cols; ++i)
    matrix.values.push_back(std::sin(static_cast<float>(i)));
  return matrix;
}

TEST(Arrays, AGroupOnItsGridComesBackExactly) {
  bobby::Matrix w{{}, 1, 64};
  for (int i = 0; i < 64; ++i) w.values.push_back(static_cast<float>(i % 16) - 8.0f);
  const auto quantized = bobby::quantize(w, 64, 4).value();
  EXPECT_EQ(quantized.weight.cols, 8);
  EXPECT_EQ(quantized.scales.cols, 1);
  EXPECT_EQ(bobby::dequantize(quantized.weight, quantized.scales, quantized.biases).value().values,
            w.values);
}

TEST(Arrays, AProductIsThatOfTheDequantisedWeight) {
  for (const int bits : {2, 3, 4, 5, 6, 8}) {
    const auto quantized = bobby::quantize(numbers(5, 96), 32, bits).value();
    const auto w =
        bobby::dequantize(quantized.weight, quantized.scales, quantized.biases, 32, bits).value();
    for (const bool transpose : {true, false}) {
      const auto x = numbers(2, transpose ? 96 : 5);
      const auto out = bobby::quantized_matmul(x, quantized.weight, quantized.scales,
                                               quantized.biases, transpose, 32, bits)
                           .value();
      ASSERT_EQ(out.rows, 2);
      ASSERT_EQ(out.cols, transpose ? 5 : 96);
      for (std::int64_t row = 0; row < out.rows; ++row)
        for (std::int64_t col = 0; col < out.cols; ++col) {
          double sum = 0;
          for (std::int64_t k = 0; k < x.cols; ++k)
            sum +=
                double{x.values[static_cast<std::size_t>(row * x.cols + k)]} *
                double{w.values[static_cast<std::size_t>(transpose ? col * 96 + k : k * 96 + col)]};
          // Each of at most 96 products and sums is off by half a unit in the last place of ~100.
          EXPECT_NEAR(out.values[static_cast<std::size_t>(row * out.cols + col)], sum,
                      2 * 96 * 100 * std::ldexp(1.0, -24));
        }
    }
  }
}

TEST(Arrays, WhatDoesNotFitIsRefused) {
  using bobby::ErrorCode;
  const auto w = numbers(4, 64);
  EXPECT_EQ(bobby::quantize(w, 64, 7).error().code, ErrorCode::kUnsupported);
  EXPECT_EQ(bobby::quantize(w, 0, 4).error().code, ErrorCode::kUnsupported);
  EXPECT_EQ(bobby::quantize(w, 128, 4).error().code, ErrorCode::kMismatch);
  EXPECT_EQ(bobby::quantize({w.values, 4, 65}).error().code, ErrorCode::kUsage);
  EXPECT_EQ(bobby::quantize({w.values, -4, -64}).error().code, ErrorCode::kUsage);
  EXPECT_EQ(bobby::quantize({{}, 0, 0}).error().code, ErrorCode::kUsage);
  EXPECT_EQ(bobby::quantize({w.values, std::numeric_limits<std::int64_t>::max(), 64}).error().code,
            ErrorCode::kUsage);
  auto infinite = w;
  infinite.values[3] = std::numeric_limits<float>::infinity();
  EXPECT_EQ(bobby::quantize(infinite).error().code, ErrorCode::kNumeric);

  const auto q = bobby::quantize(w).value();
  EXPECT_EQ(bobby::dequantize(q.weight, q.scales, q.biases, 64, 8).error().code,
            ErrorCode::kMismatch);
  EXPECT_EQ(bobby::dequantize(q.weight, q.scales, numbers(3, 1)).error().code,
            ErrorCode::kMismatch);
  EXPECT_EQ(bobby::dequantize(q.weight, q.scales, q.biases, 0, 4).error().code,
            ErrorCode::kUnsupported);
  EXPECT_EQ(bobby::quantized_matmul(numbers(1, 63), q.weight, q.scales, q.biases).error().code,
            ErrorCode::kMismatch);
}

}  // namespace
}  // namespace bobby_api_test
