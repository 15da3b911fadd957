#include "hub/gguf_blocks.h"

#include <gtest/gtest.h>
#include <limits>
#include <random>

#include "tensor/formats/affine.h"
#include "tensor/half.h"
#include "unit/gguf/gguf_builder.h"

namespace bobby {
namespace {

using test::GgufBuilder;

std::span<const std::byte> as_span(const std::string& bytes) {
  return std::as_bytes(std::span(bytes.data(), bytes.size()));
}

// Blocks of random bytes with finite scales, and the number each of their weights stands for.
struct Blocks {
  std::string bytes;
  std::vector<float> values;
};

Blocks random_blocks(GgufType type, std::size_t count, std::uint32_t seed) {
  std::mt19937 random(seed);
  const auto half = [&] {
    // Any finite half small enough that 128 times it is still one.
    std::uint16_t bits;
    do bits = static_cast<std::uint16_t>(random());
    while (!(std::abs(f16_to_float(bits)) < 500.0f));
    return bits;
  };
  Blocks blocks;
  for (std::size_t block = 0; block < count; ++block) {
    const std::uint16_t d = half();
    GgufBuilder::append(blocks.bytes, d);
    const std::uint16_t m = half();
    if (type == GgufType::kQ4_1) GgufBuilder::append(blocks.bytes, m);
    std::uint8_t data[32];
    const std::size_t bytes = type == GgufType::kQ8_0 ? 32 : 16;
    for (std::size_t i = 0; i < bytes; ++i) data[i] = static_cast<std::uint8_t>(random());
    blocks.bytes.append(reinterpret_cast<const char*>(data), bytes);
    for (std::size_t i = 0; i < 32; ++i) {
      const double scale = f16_to_float(d);
      const int nibble = i < 16 ? data[i] & 15 : data[i - 16] >> 4;
      double value = 0;
      if (type == GgufType::kQ8_0) value = scale * static_cast<std::int8_t>(data[i]);
      if (type == GgufType::kQ4_0) value = scale * (nibble - 8);
      if (type == GgufType::kQ4_1) value = scale * nibble + f16_to_float(m);
      blocks.values.push_back(static_cast<float>(value));
    }
  }
  return blocks;
}

class LosslessBlocks : public testing::TestWithParam<GgufType> {};

TEST_P(LosslessBlocks, BothSidesDequantiseToTheSameNumbers) {
  constexpr std::int64_t kRows = 300, kCols = 96;
  const Blocks blocks = random_blocks(GetParam(), kRows * kCols / 32, 1);
  GgufTensor tensor{.name = "t",
                    .type = static_cast<std::uint32_t>(GetParam()),
                    .shape = {kRows, kCols},
                    .data = as_span(blocks.bytes)};
  const auto affine = affine_from_blocks(tensor, "t");
  ASSERT_TRUE(affine) << affine.error().to_string();
  const WeightView view{.name = "t",
                        .format = affine->format,
                        .rows = kRows,
                        .cols = kCols,
                        .weight = reinterpret_cast<const std::byte*>(affine->weight.data()),
                        .scales = reinterpret_cast<const std::byte*>(affine->scales.data()),
                        .biases = reinterpret_cast<const std::byte*>(affine->biases.data())};
  std::vector<float> row(kCols);
  for (std::int64_t r = 0; r < kRows; ++r) {
    dequantize_row(view, r, row.data());
    for (std::int64_t c = 0; c < kCols; ++c)
      // Equal as numbers: d * q + m is one rounding of an exact value on both sides.
      ASSERT_EQ(row[static_cast<std::size_t>(c)],
                blocks.values[static_cast<std::size_t>(r * kCols + c)])
          << r << ", " << c;
  }
}

INSTANTIATE_TEST_SUITE_P(Gguf, LosslessBlocks,
                         testing::Values(GgufType::kQ4_0, GgufType::kQ4_1, GgufType::kQ8_0));

TEST(GgufBlocks, AScaleWhoseBiasLeavesFloat16IsRefused) {
  std::string bytes;
  GgufBuilder::append(bytes, float_to_f16(600.0f));  // 128 * 600 > 65504
  bytes += std::string(32, 'x');
  const GgufTensor tensor{.name = "t", .type = 8, .shape = {1, 32}, .data = as_span(bytes)};
  const auto affine = affine_from_blocks(tensor, "f.gguf: tensor 't'");
  ASSERT_FALSE(affine);
  EXPECT_EQ(affine.error().code, ErrorCode::kUnsupported);
}

}  // namespace
}  // namespace bobby
