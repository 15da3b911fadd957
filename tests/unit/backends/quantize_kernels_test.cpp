// The kernels of quantising on every instruction set of this machine: the plain definition's bits,
// sums and errors. The plain definition is held against mx.quantize in tests/parity/quantize.

#include <cstring>
#include <gtest/gtest.h>
#include <limits>
#include <vector>

#include "backends/cpu/quantize.h"
#include "parity/quantize/counter_values.h"
#include "tensor/formats/affine.h"
#include "tensor/formats/dense.h"

namespace bobby {
namespace {

using Bytes = std::vector<std::byte>;

/// A dense weight at an address that no number is aligned to.
struct Dense {
  Bytes bytes;
  WeightView view;

  Dense(const std::vector<float>& values, std::int64_t cols, DType dtype)
      : bytes(values.size() * dtype_bytes(dtype) + 1) {
    narrow(dtype, values.data(), static_cast<std::int64_t>(values.size()), bytes.data() + 1);
    view = {.name = "w",
            .format = {.dtype = dtype},
            .rows = static_cast<std::int64_t>(values.size()) / cols,
            .cols = cols,
            .weight = bytes.data() + 1};
  }
};

struct Quantized {
  Bytes weight;
  Bytes scales;
  Bytes biases;
  std::vector<RowError> errors;

  Quantized(const QuantizeRows& quantizer, const Dense& dense, const WeightFormat& format,
            Rounding rounding) {
    WeightView view = dense.view;
    view.format = format;
    const auto rows = static_cast<std::size_t>(view.rows);
    weight.resize(rows * view.weight_row_bytes());
    scales.resize(rows * view.scales_row_bytes());
    biases.resize(scales.size());
    errors.resize(rows);
    const auto made = quantizer(dense.view, 0, view.rows, format, rounding,
                                {weight.data(), scales.data(), biases.data(), errors.data()});
    EXPECT_TRUE(made) << made.error().to_string();
  }
};

void expect_same(const Quantized& got, const Quantized& expected) {
  EXPECT_EQ(got.weight, expected.weight);
  EXPECT_EQ(got.scales, expected.scales);
  EXPECT_EQ(got.biases, expected.biases);
  for (std::size_t i = 0; i < got.errors.size(); ++i) {
    ASSERT_EQ(got.errors[i].error, expected.errors[i].error) << "row " << i;
    ASSERT_EQ(got.errors[i].weight, expected.errors[i].weight) << "row " << i;
    ASSERT_EQ(got.errors[i].largest, expected.errors[i].largest) << "row " << i;
  }
}

class QuantizeKernelsTest : public ::testing::TestWithParam<CpuIsa> {
 protected:
  const QuantizeRows quantizer_ = cpu_quantize_rows(GetParam()).value();
};

TEST_P(QuantizeKernelsTest, HostileValuesInEveryFormat) {
  const std::vector<float> values = testing::hostile_values(128 * 384);
  for (const DType dtype : {DType::kF32, DType::kF16, DType::kBF16}) {
    const Dense dense(values, 384, dtype);
    for (const int bits : kAffineBits)
      for (const int group_size : kAffineGroupSizes)
        for (const Rounding rounding : {Rounding::kGpu, Rounding::kCpu}) {
          const WeightFormat format = affine_format(dense.view, bits, group_size);
          SCOPED_TRACE(format.to_string());
          expect_same(Quantized(quantizer_, dense, format, rounding),
                      Quantized(quantize_rows, dense, format, rounding));
        }
  }
}

TEST_P(QuantizeKernelsTest, ScalesAtTheEndsOfTheirRange) {
  constexpr float kMost = std::numeric_limits<float>::max();
  std::vector<float> values;
  const float edges[] = {0.0f,   -0.0f,   1e-7f,    0.5e-7f,  -0.5e-7f, 1e-40f, -1e-40f, 3e38f,
                         -3e38f, 1.5e38f, -1.6e38f, 65504.0f, 0.3f,     -0.3f,  kMost,   -kMost};
  for (const float edge : edges)
    for (int i = 0; i < 96; ++i)  // three groups of 32: constant, lonely, wide
      values.push_back(i < 32 || i == 40 ? edge : i < 64 ? 0.0f : edge / static_cast<float>(i));
  const Dense dense(values, 96, DType::kF32);
  for (const int bits : kAffineBits)
    for (const Rounding rounding : {Rounding::kGpu, Rounding::kCpu}) {
      const WeightFormat format = affine_format(dense.view, bits, 32);
      expect_same(Quantized(quantizer_, dense, format, rounding),
                  Quantized(quantize_rows, dense, format, rounding));
    }
}

TEST_P(QuantizeKernelsTest, WhatCannotBeQuantisedIsNamedAlike) {
  constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  for (const float bad : {kNan, -kNan, kInfinity, -kInfinity, -3.3e38f}) {
    for (const std::size_t at : {std::size_t{0}, std::size_t{127}, std::size_t{200}}) {
      std::vector<float> values(3 * 128, bad == -3.3e38f ? 3.3e38f : 1.0f);
      values[at] = bad;
      const Dense dense(values, 128, DType::kF32);
      const WeightFormat format = affine_format(dense.view, 4, 64);
      Bytes weight(3 * 64);
      Bytes scales(3 * 8);
      Bytes biases(3 * 8);
      const AffineRows out = {weight.data(), scales.data(), biases.data()};
      const auto expected = quantize_rows(dense.view, 0, 3, format, Rounding::kGpu, out);
      const auto got = quantizer_(dense.view, 0, 3, format, Rounding::kGpu, out);
      ASSERT_FALSE(expected);
      ASSERT_FALSE(got);
      EXPECT_EQ(got.error().to_string(), expected.error().to_string());
    }
  }
  const Dense dense(std::vector<float>(96, 1.0f), 96, DType::kF32);
  const auto wrong =
      quantizer_(dense.view, 0, 1, affine_format(dense.view, 4, 64), Rounding::kGpu, {});
  ASSERT_FALSE(wrong);
  EXPECT_EQ(wrong.error().code, ErrorCode::kMismatch);
}

INSTANTIATE_TEST_SUITE_P(Isas, QuantizeKernelsTest, ::testing::ValuesIn(available_isas()),
                         [](const auto& parameter) {
                           std::string name(isa_name(parameter.param));
                           std::erase(name, '-');
                           return name;
                         });

}  // namespace
}  // namespace bobby
