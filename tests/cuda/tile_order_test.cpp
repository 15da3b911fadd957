// Tile order: the host's definition against the file, the device's copy against both, and the order
// of sums that tile_order.h promises, bit for bit.

#include "backends/cuda/tile_order.h"

#include "cuda/cuda_fixture.h"

namespace bobby::test {
namespace {

using namespace cuda;

/// What the definition says of row `row`, column `column`, read from the tiles.
float number(const WeightView& view, const std::vector<std::byte>& tiles, std::int64_t row,
             std::int64_t column) {
  const std::byte* record = tiles.data() +
                            static_cast<std::size_t>(row / 16) * tile_bytes(view.cols) +
                            column / 64 * kTileRecordBytes;
  const std::int64_t quad = row % 8, below = row % 16 / 8, c = column % 64;
  std::uint32_t word = 0;
  std::memcpy(&word, record + ((quad * 4 + c % 32 / 8) * 4 + c / 32 * 2 + below) * 4, 4);
  float pair[2];
  widen(view.format.dtype, record + kTileLevelBytes + (quad * 2 + below) * 4, 2, pair);
  return pair[0] * static_cast<float>(word >> (c % 8 * 4) & 15u) + pair[1];
}

TEST(TileOrder, HoldsEveryNumber) {
  Random random(3);
  for (const DType dtype : {DType::kBF16, DType::kF16}) {
    const WeightBytes weight(affine(4, 64, dtype), 48, 320, random, 1);
    const WeightView& view = weight.view();
    ASSERT_TRUE(has_tile_order(view));
    std::vector<std::byte> tiles(3 * tile_bytes(320));
    to_tile_order(view, tiles.data());
    std::vector<float> row(320);
    for (std::int64_t r = 0; r < 48; ++r) {
      dequantize_row(view, r, row.data());
      for (std::int64_t c = 0; c < 320; ++c)
        ASSERT_EQ(number(view, tiles, r, c), row[static_cast<std::size_t>(c)]) << r << ", " << c;
    }
  }
  std::vector<bool> taken(64);
  for (int c = 0; c < 64; ++c) taken[static_cast<std::size_t>(tile_byte(c))] = true;
  EXPECT_EQ(taken, std::vector<bool>(64, true));
}

TEST(TileOrder, IsForWholeTilesOfFourBitsInGroupsOf64) {
  Random random(3);
  EXPECT_FALSE(has_tile_order(WeightBytes(affine(4, 64), 40, 64, random).view()));
  EXPECT_FALSE(has_tile_order(WeightBytes(affine(4, 32), 16, 64, random).view()));
  EXPECT_FALSE(has_tile_order(WeightBytes(affine(8, 64), 16, 64, random).view()));
  EXPECT_FALSE(has_tile_order(WeightBytes(affine(4, 64, DType::kF32), 16, 64, random).view()));
}

/// One output in the promised order.
float in_order(const WeightView& view, std::int64_t row, const float* x) {
  const std::int64_t groups = view.cols / 64;
  std::vector<float> scales(static_cast<std::size_t>(groups)), biases(scales);
  const std::size_t skip = static_cast<std::size_t>(row) * view.scales_row_bytes();
  widen(view.format.dtype, view.scales + skip, groups, scales.data());
  widen(view.format.dtype, view.biases + skip, groups, biases.data());
  const std::byte* levels = view.weight + static_cast<std::size_t>(row) * view.weight_row_bytes();
  float parts[16] = {};
  for (std::int64_t g = 0; g < groups; ++g) {
    float most = 0x1p-100f;
    for (int i = 0; i < 64; ++i) most = std::max(most, std::abs(x[g * 64 + i]));
    const float inverse = 16383 / most, x_scale = most / 16383;
    int product = 0, sum = 0;
    for (std::int64_t i = 0; i < 64; ++i) {
      const int q = static_cast<int>(std::nearbyint(x[g * 64 + i] * inverse));
      const auto byte = std::to_integer<int>(levels[(g * 64 + i) / 2]);
      product += q * (i % 2 == 0 ? byte & 15 : byte >> 4);
      sum += q;
    }
    float& part = parts[g / 4 % 16];
    const auto at = static_cast<std::size_t>(g);
    part = std::fma(scales[at] * x_scale, static_cast<float>(product), part);
    part = std::fma(biases[at], x_scale * static_cast<float>(sum), part);
  }
  for (int half = 8; half > 0; half /= 2)
    for (int p = 0; p < half; ++p) parts[p] += parts[p + half];
  return parts[0];
}

class CudaTileOrder : public CudaFixture {};

TEST_F(CudaTileOrder, SumsAreInThePromisedOrder) {
  for (const DType dtype : {DType::kBF16, DType::kF16})
    for (const std::int64_t cols : {64, 320, 4096, 4288, 9728}) {
      const WeightBytes bytes(affine(4, 64, dtype), 32, cols, random_);
      const auto weight = cuda_->load_weight(bytes.view()).value();
      for (const std::int64_t rows : {1, 2, 8, 9, 40, 64}) {
        const auto x = random_.activations(rows * cols);
        const DeviceTensor in(*cuda_, rows, cols, x), out(*cuda_, rows, 32);
        const Projection projection{.weight = weight.get(), .out = out};
        cuda_->linear(in, {&projection, 1});
        std::vector<float> expected;
        for (std::int64_t r = 0; r < rows; ++r)
          for (std::int64_t n = 0; n < 32; ++n)
            expected.push_back(in_order(bytes.view(), n, x.data() + r * cols));
        expect_same_bits(out.values(*cuda_), expected);
        if (HasFatalFailure() || HasNonfatalFailure())
          FAIL() << cols << " cols " << rows << " rows";
      }
    }
}

// More rows than are reordered at once; as a table, the numbers come back as the file has them.
TEST_F(CudaTileOrder, LargeTablesAreReadBack) {
  constexpr std::int64_t kRows = 40000, kCols = 1024;
  std::vector<float> values(static_cast<std::size_t>(kRows * kCols));
  std::uint32_t state = 1;
  for (float& value : values) {
    state = state * 1664525u + 1013904223u;
    value = static_cast<float>(static_cast<std::int32_t>(state)) * 0x1p-31f;
  }
  const WeightBytes bytes(affine(4, 64), kRows, kCols, values, 3);
  const auto table = cuda_->load_weight(bytes.view()).value();
  std::vector<std::int32_t> tokens = {0, 1, 15, 16, 28000, 29999, kRows - 1};
  for (int i = 0; i < 60; ++i) tokens.push_back(static_cast<std::int32_t>(random_.integer(kRows)));
  const DeviceTensor out(*cuda_, static_cast<std::int64_t>(tokens.size()), kCols);
  cuda_->embed(*table, tokens, {}, out);
  std::vector<float> expected(tokens.size() * kCols);
  for (std::size_t i = 0; i < tokens.size(); ++i)
    dequantize_row(bytes.view(), tokens[i], expected.data() + i * kCols);
  expect_same_bits(out.values(*cuda_), expected);
}

}  // namespace
}  // namespace bobby::test
