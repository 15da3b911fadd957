// quantize, dequantize and quantized_matmul against MLX, bit for bit; see tools/oracle/quantize.py.

#include <bit>
#include <cstring>
#include <fstream>
#include <gtest/gtest.h>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "backends/cpu/quantize.h"
#include "base/sha256.h"
#include "parity/quantize/counter_values.h"
#include "tensor/formats/affine.h"
#include "tensor/formats/dense.h"

namespace bobby {
namespace {

using nlohmann::json;
using Bytes = std::vector<std::byte>;

const std::map<std::string, DType> kDTypes = {
    {"float32", DType::kF32}, {"float16", DType::kF16}, {"bfloat16", DType::kBF16}};
const std::map<std::string, Rounding> kRoundings = {{"cpu", Rounding::kCpu},
                                                    {"gpu", Rounding::kGpu}};

const json& golden() {
  static const json parsed = [] {
    std::ifstream stream(BOBBY_SOURCE_DIR "/tests/parity/quantize/golden/quantize.json");
    return json::parse(stream);
  }();
  return parsed;
}

Bytes from_hex(const std::string& text) {
  Bytes bytes(text.size() / 2);
  for (std::size_t i = 0; i < bytes.size(); ++i)
    bytes[i] = static_cast<std::byte>(std::stoi(text.substr(2 * i, 2), nullptr, 16));
  return bytes;
}

/// A dense weight with memory of its own.
struct Dense {
  Bytes bytes;
  WeightView view;

  Dense(const std::vector<float>& values, std::int64_t cols, DType dtype)
      : bytes(values.size() * dtype_bytes(dtype)) {
    narrow(dtype, values.data(), static_cast<std::int64_t>(values.size()), bytes.data());
    view.name = "w";
    view.format.dtype = dtype;
    view.rows = static_cast<std::int64_t>(values.size()) / cols;
    view.cols = cols;
    view.weight = bytes.data();
  }
};

Dense random_weight(DType dtype) {
  const std::int64_t cols = golden().at("cols");
  const std::int64_t rows = golden().at("rows");
  return Dense(testing::hostile_values(static_cast<std::size_t>(rows * cols)), cols, dtype);
}

Dense edge_weight(const std::string& dtype) {
  const Bytes bytes = from_hex(golden().at("edge_rows").at(dtype));
  std::vector<float> values(bytes.size() / dtype_bytes(kDTypes.at(dtype)));
  widen(kDTypes.at(dtype), bytes.data(), static_cast<std::int64_t>(values.size()), values.data());
  return Dense(values, 128, kDTypes.at(dtype));
}

/// The plain definition, and this processor's kernels (quantize_kernels_test has all of them).
const std::map<std::string, QuantizeRows>& quantizers() {
  static const std::map<std::string, QuantizeRows> both = {
      {"plain", quantize_rows}, {"kernels", cpu_quantize_rows().value()}};
  return both;
}

/// Expects the digests of `expected` for `dense` quantised as `setting` says.
void expect_quantized(const Dense& dense, const json& setting, const json& expected) {
  const WeightFormat format =
      affine_format(dense.view, setting.at("bits"), setting.at("group_size"));
  WeightView target = dense.view;
  target.format = format;
  const auto rows = static_cast<std::size_t>(dense.view.rows);
  for (const auto& [name, rounding] : kRoundings)
    for (const auto& [kernels, quantizer] : quantizers()) {
      SCOPED_TRACE(name + ", " + kernels);
      Bytes weight(rows * target.weight_row_bytes());
      Bytes scales(rows * target.scales_row_bytes());
      Bytes biases(scales.size());
      const auto made = quantizer(dense.view, 0, dense.view.rows, format, rounding,
                                  {weight.data(), scales.data(), biases.data()});
      ASSERT_TRUE(made) << made.error().to_string();
      const json& digests = expected.at(name);
      EXPECT_EQ(sha256_hex(weight), digests.at("weight").get<std::string>());
      EXPECT_EQ(sha256_hex(scales), digests.at("scales").get<std::string>());
      EXPECT_EQ(sha256_hex(biases), digests.at("biases").get<std::string>());
    }
}

std::string label(const json& setting) {
  return setting.value("dtype", "bfloat16") + " " + std::to_string(setting.at("bits").get<int>()) +
         "-bit group " + std::to_string(setting.at("group_size").get<int>());
}

TEST(QuantizeParity, InputsAreTheOracles) {
  for (const auto& [name, dtype] : kDTypes)
    EXPECT_EQ(sha256_hex(random_weight(dtype).bytes),
              golden().at("inputs").at(name).get<std::string>())
        << name;
}

TEST(QuantizeParity, AMillionValuesInEveryFormat) {
  std::map<std::string, Dense> weights;
  for (const auto& [name, dtype] : kDTypes) weights.emplace(name, random_weight(dtype));
  ASSERT_GE(weights.at("float32").view.rows * weights.at("float32").view.cols, 1'000'000);
  ASSERT_EQ(golden().at("quantize").size(), 3 * kAffineBits.size() * kAffineGroupSizes.size());
  for (const json& setting : golden().at("quantize")) {
    SCOPED_TRACE(label(setting));
    expect_quantized(weights.at(setting.at("dtype")), setting, setting.at("random"));
  }
}

TEST(QuantizeParity, EdgeCasesInEveryFormat) {
  for (const json& setting : golden().at("quantize")) {
    SCOPED_TRACE(label(setting));
    expect_quantized(edge_weight(setting.at("dtype")), setting, setting.at("edge"));
  }
}

/// The same as the digests of 4-bit group 32, row by row, so that a failure says where.
TEST(QuantizeParity, EdgeCasesRowByRow) {
  for (const json& setting : golden().at("quantize")) {
    if (!setting.contains("explicit")) continue;
    const Dense dense = edge_weight(setting.at("dtype"));
    for (const auto& [name, rounding] : kRoundings) {
      const auto got = quantize(dense.view, 4, 32, rounding);
      ASSERT_TRUE(got) << got.error().to_string();
      const Bytes* parts[] = {&got->weight, &got->scales, &got->biases};
      for (std::size_t part = 0; part < 3; ++part) {
        const Bytes expected = from_hex(setting.at("explicit").at(name).at(part));
        const std::size_t row_bytes = expected.size() / static_cast<std::size_t>(dense.view.rows);
        ASSERT_EQ(parts[part]->size(), expected.size());
        for (std::int64_t row = 0; row < dense.view.rows; ++row) {
          const std::size_t at = static_cast<std::size_t>(row) * row_bytes;
          EXPECT_EQ(std::memcmp(parts[part]->data() + at, expected.data() + at, row_bytes), 0)
              << label(setting) << ", " << name << ", part " << part << ", row " << row;
        }
      }
    }
  }
}

/// The widened copy of scales or biases.
Bytes to_float32(const Bytes& from, DType dtype) {
  Bytes wide(from.size() / dtype_bytes(dtype) * sizeof(float));
  std::vector<float> values(wide.size() / sizeof(float));
  widen(dtype, from.data(), static_cast<std::int64_t>(values.size()), values.data());
  std::memcpy(wide.data(), values.data(), wide.size());
  return wide;
}

TEST(QuantizeParity, DequantizeBothWays) {
  for (const json& setting : golden().at("quantize")) {
    SCOPED_TRACE(label(setting));
    const DType dtype = kDTypes.at(setting.at("dtype"));
    const Dense dense = random_weight(dtype);
    const auto got =
        quantize(dense.view, setting.at("bits"), setting.at("group_size"), Rounding::kCpu);
    ASSERT_TRUE(got) << got.error().to_string();
    const WeightView view = got->view();
    Bytes mlx(dense.bytes.size());
    std::vector<float> plain(static_cast<std::size_t>(view.rows * view.cols));
    for (std::int64_t row = 0; row < view.rows; ++row) {
      dequantize_row_mlx(
          view, row, mlx.data() + static_cast<std::size_t>(row * view.cols) * dtype_bytes(dtype));
      dequantize_row(view, row, plain.data() + row * view.cols);
    }
    EXPECT_EQ(sha256_hex(mlx), setting.at("dequantized").get<std::string>());
    EXPECT_EQ(sha256_hex(std::as_bytes(std::span(plain))),
              setting.at("dequantized_float32").get<std::string>());
  }
}

/// MLX on an x86 CPU multiplies and adds fp32 numbers one after the other, as ours does, so there
/// is nothing to tolerate.
TEST(QuantizeParity, MatmulBothWays) {
  constexpr std::int64_t kRows = 24;
  constexpr std::int64_t kCols = 256;
  constexpr std::int64_t kInputs = 3;
  const Dense dense(testing::normal_values(11, kRows * kCols), kCols, DType::kBF16);
  const auto x = testing::normal_values(12, kInputs * kCols);
  const auto xt = testing::normal_values(13, kInputs * kRows);
  for (const json& setting : golden().at("matmul")) {
    SCOPED_TRACE(label(setting));
    const auto got =
        quantize(dense.view, setting.at("bits"), setting.at("group_size"), Rounding::kCpu);
    ASSERT_TRUE(got) << got.error().to_string();
    std::vector<float> y(kInputs * kRows);
    ASSERT_TRUE(quantized_matmul(x, kInputs, got->view(), true, y));
    const Bytes expected = from_hex(setting.at("transposed"));
    ASSERT_EQ(expected.size(), y.size() * sizeof(float));
    EXPECT_EQ(std::memcmp(y.data(), expected.data(), expected.size()), 0);

    std::vector<float> yt(kInputs * kCols);
    ASSERT_TRUE(quantized_matmul(xt, kInputs, got->view(), false, yt));
    EXPECT_EQ(sha256_hex(std::as_bytes(std::span(yt))), setting.at("plain").get<std::string>());

    // The oracle ran with scales widened to fp32: the result must not depend on that.
    const Bytes scales = to_float32(got->scales, DType::kBF16);
    const Bytes biases = to_float32(got->biases, DType::kBF16);
    WeightView wide = got->view();
    wide.format.dtype = DType::kF32;
    wide.scales = scales.data();
    wide.biases = biases.data();
    std::vector<float> again(y.size());
    ASSERT_TRUE(quantized_matmul(x, kInputs, wide, true, again));
    EXPECT_EQ(again, y);
  }
}

}  // namespace
}  // namespace bobby
