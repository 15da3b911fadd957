// Weights in MLX's floating point modes, made exact, against mx.dequantize
// (tools/oracle/float_modes.py).

#include <cstring>
#include <filesystem>
#include <gtest/gtest.h>
#include <string>
#include <vector>

#include "safetensors/safetensors.h"
#include "tensor/formats/affine.h"
#include "tensor/formats/dense.h"
#include "tensor/formats/float_modes.h"

namespace bobby {
namespace {

const std::filesystem::path kGolden =
    std::filesystem::path(BOBBY_SOURCE_DIR) / "tests/parity/float_modes/golden.safetensors";

/// A weight of the golden, and what MLX says of it in fp32 (from bfloat16).
struct Case {
  FloatWeightView view;
  std::vector<float> expected;
};

/// Memory for `format`, and the weight's rows in it.
struct Converted {
  explicit Converted(const FloatWeightView& from) {
    made = {.name = from.name,
            .format = exact_format(from.mode),
            .rows = from.rows,
            .cols = from.cols,
            .weight = {},
            .scales = {},
            .biases = {}};
    const auto rows = static_cast<std::size_t>(from.rows);
    made.weight.resize(rows * made.view().weight_row_bytes());
    made.scales.resize(rows * made.view().scales_row_bytes());
    made.biases.resize(made.scales.size());
    result = convert_rows(from, 0, from.rows, rows_at(0));
  }
  AffineRows rows_at(std::size_t row) {
    const WeightView view = made.view();
    return {.weight = made.weight.data() + row * view.weight_row_bytes(),
            .scales = made.scales.data() + row * view.scales_row_bytes(),
            .biases = made.biases.data() + row * view.scales_row_bytes()};
  }
  QuantizedWeight made;
  Result<void> result;
};

class FloatModes : public ::testing::TestWithParam<std::string> {
 protected:
  FloatModes() : file_(std::move(*safetensors::File::open(kGolden))) {}

  const safetensors::Tensor& tensor(const std::string& kind, const std::string& name) const {
    return *file_.find(GetParam() + "/" + kind + "/" + name);
  }
  const FloatMode& mode() const {
    for (const FloatMode& mode : float_modes())
      if (mode.name == GetParam()) return mode;
    throw std::runtime_error("no mode " + GetParam());
  }
  Case read(const std::string& kind) const {
    const safetensors::Tensor& expected = tensor(kind, "dequantized");
    Case one{.view = {.name = kind,
                      .mode = mode().mode,
                      .rows = static_cast<std::int64_t>(expected.shape[0]),
                      .cols = static_cast<std::int64_t>(expected.shape[1]),
                      .weight = tensor(kind, "weight").data.data(),
                      .scales = tensor(kind, "scales").data.data()},
             .expected = {}};
    one.expected.resize(static_cast<std::size_t>(one.view.rows * one.view.cols));
    widen(DType::kBF16, expected.data.data(), one.view.rows * one.view.cols, one.expected.data());
    return one;
  }

  safetensors::File file_;
};

TEST_P(FloatModes, EveryNumberIsWhatMlxSays) {
  for (const char* kind : {"normal", "codes"}) {
    const Case one = read(kind);
    const Converted converted(one.view);
    ASSERT_TRUE(converted.result) << converted.result.error().to_string();
    std::vector<float> row(static_cast<std::size_t>(one.view.cols));
    for (std::int64_t r = 0; r < one.view.rows; ++r) {
      dequantize_row(converted.made.view(), r, row.data());
      for (std::int64_t c = 0; c < one.view.cols; ++c)
        ASSERT_EQ(row[static_cast<std::size_t>(c)],
                  one.expected[static_cast<std::size_t>(r * one.view.cols + c)])
            << kind << " [" << r << ", " << c << "]";
    }
  }
}

TEST_P(FloatModes, RowsDoNotDependOnEachOther) {
  const Case one = read("normal");
  const Converted whole(one.view);
  Converted parts(one.view);
  std::ranges::fill(parts.made.weight, std::byte{0});
  for (const auto& [begin, count] : {std::pair<std::int64_t, std::int64_t>{7, 17}, {0, 7}})
    ASSERT_TRUE(
        convert_rows(one.view, begin, count, parts.rows_at(static_cast<std::size_t>(begin))));
  EXPECT_EQ(whole.made.weight, parts.made.weight);
  EXPECT_EQ(whole.made.scales, parts.made.scales);
}

TEST_P(FloatModes, WhatIsNoNumberIsRefused) {
  const Case one = read("normal");
  const auto groups = static_cast<std::size_t>(one.view.cols / mode().group_size);
  std::vector<std::byte> scales(one.view.scales,
                                one.view.scales + groups * static_cast<std::size_t>(one.view.rows));
  FloatWeightView damaged = one.view;
  damaged.scales = scales.data();
  scales[2 * groups + 1] = std::byte{0xff};
  const Converted converted(damaged);
  ASSERT_FALSE(converted.result);
  EXPECT_EQ(converted.result.error().code, ErrorCode::kNumeric);
  const int column = mode().group_size;
  EXPECT_EQ(converted.result.error().problem, "row 2, columns " + std::to_string(column) + " to " +
                                                  std::to_string(2 * column - 1) + " hold no " +
                                                  GetParam() + " numbers");
}

INSTANTIATE_TEST_SUITE_P(Modes, FloatModes, ::testing::Values("mxfp4", "mxfp8", "nvfp4"),
                         [](const auto& test) { return test.param; });

TEST(FloatModeFormats, AreSmallWhereTheyCanBe) {
  EXPECT_EQ(exact_format(QuantizationMode::kMxfp4).to_string(),
            "affine 5-bit group 32 (bfloat16 scales)");
  EXPECT_EQ(exact_format(QuantizationMode::kMxfp8).to_string(), "bfloat16");
  EXPECT_EQ(exact_format(QuantizationMode::kNvfp4).to_string(), "bfloat16");
  EXPECT_EQ(find_float_mode(QuantizationMode::kAffine), nullptr);
}

}  // namespace
}  // namespace bobby
