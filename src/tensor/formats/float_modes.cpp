#include "tensor/formats/float_modes.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <fmt/format.h>

#include "tensor/half.h"

namespace bobby {
namespace {

constexpr std::array<FloatMode, 3> kFloatModes = {{
    {QuantizationMode::kMxfp4, "mxfp4", 4, 32},
    {QuantizationMode::kMxfp8, "mxfp8", 8, 32},
    {QuantizationMode::kNvfp4, "nvfp4", 4, 16},
}};

constexpr int kMx = 32;  // columns of a group
constexpr int kNv = 16;

// Twice what the codes of e2m1 stand for, the positive half.
constexpr std::array<int, 8> kTwiceE2m1 = {0, 1, 2, 3, 4, 6, 8, 12};
constexpr int kZeroLevel = 12;    // of the affine levels that mxfp4 becomes
constexpr int kLargestMx4 = 251;  // above it, 24 times the affine scale is beyond fp32
constexpr std::uint16_t kBf16Exponent = 0x7f80;

int twice_e2m1(unsigned code) {
  const int magnitude = kTwiceE2m1[code & 7u];
  return (code & 8u) != 0 ? -magnitude : magnitude;
}

/// 1 sign, 4 exponent (bias 7) and 3 mantissa bits; no infinities, NaN where the rest is all ones.
float e4m3(unsigned code) {
  const int exponent = static_cast<int>((code >> 3) & 15u);
  const int mantissa = static_cast<int>(code & 7u);
  if (exponent == 15 && mantissa == 7) return std::nanf("");
  const float magnitude = exponent == 0
                              ? std::ldexp(static_cast<float>(mantissa), -9)
                              : std::ldexp(static_cast<float>(8 + mantissa), exponent - 10);
  return (code & 0x80u) != 0 ? -magnitude : magnitude;
}

/// The values of all codes of a byte, and the powers of two that e8m0 names.
struct Tables {
  std::array<float, 256> e4m3;
  std::array<float, 256> e8m0;
  std::array<float, 16> e2m1;
  std::array<std::uint16_t, 256> mx4_levels;  ///< of both halves of a byte, 5 bits each, low first

  Tables() {
    for (unsigned code = 0; code < 256; ++code) {
      e4m3[code] = bobby::e4m3(code);
      e8m0[code] = std::ldexp(1.0f, static_cast<int>(code) - 127);  // 255: infinity, as in MLX
      const int low = kZeroLevel + twice_e2m1(code & 15u);
      const int high = kZeroLevel + twice_e2m1(code >> 4);
      mx4_levels[code] = static_cast<std::uint16_t>(low | (high << 5));
    }
    for (unsigned code = 0; code < 16; ++code)
      e2m1[code] = 0.5f * static_cast<float>(twice_e2m1(code));
  }
};

const Tables& tables() {
  static const Tables made;
  return made;
}

void store(std::byte* to, std::uint16_t value) {
  std::memcpy(to, &value, sizeof value);
}

/// One row; the first column of a group that holds what is no number, or -1 when all is well.
std::int64_t convert_mxfp4(const std::byte* weight, const std::byte* scales, std::int64_t cols,
                           const AffineRows& out) {
  const Tables& table = tables();
  std::byte* levels = out.weight;
  for (std::int64_t group = 0; group < cols / kMx; ++group) {
    const auto byte = std::to_integer<unsigned>(scales[group]);
    if (byte > kLargestMx4) return group * kMx;
    const float scale = 0.5f * table.e8m0[byte];
    store(out.scales + 2 * group, float_to_bf16(scale));
    store(out.biases + 2 * group, float_to_bf16(-static_cast<float>(kZeroLevel) * scale));
    for (int i = 0; i < kMx / 2; i += 4, weight += 4, levels += 5) {
      std::uint64_t string = 0;
      for (int j = 0; j < 4; ++j)
        string |=
            static_cast<std::uint64_t>(table.mx4_levels[std::to_integer<std::uint8_t>(weight[j])])
            << (10 * j);
      std::memcpy(levels, &string, 5);
    }
  }
  return -1;
}

/// The products in bfloat16; false when one of them is NaN or infinite.
template <int Count>
bool store_products(const float* values, float scale, std::byte* out) {
  std::uint16_t rounded[Count];
  bool infinite = false;
  for (int i = 0; i < Count; ++i) {
    rounded[i] = float_to_bf16(values[i] * scale);
    infinite |= (rounded[i] & kBf16Exponent) == kBf16Exponent;
  }
  std::memcpy(out, rounded, sizeof rounded);
  return !infinite;
}

std::int64_t convert_mxfp8(const std::byte* weight, const std::byte* scales, std::int64_t cols,
                           const AffineRows& out) {
  const Tables& table = tables();
  for (std::int64_t column = 0; column < cols; column += kMx) {
    float values[kMx];
    for (int i = 0; i < kMx; ++i)
      values[i] = table.e4m3[std::to_integer<std::uint8_t>(weight[column + i])];
    const float scale = table.e8m0[std::to_integer<std::uint8_t>(scales[column / kMx])];
    if (!store_products<kMx>(values, scale, out.weight + 2 * column)) return column;
  }
  return -1;
}

std::int64_t convert_nvfp4(const std::byte* weight, const std::byte* scales, std::int64_t cols,
                           const AffineRows& out) {
  const Tables& table = tables();
  for (std::int64_t column = 0; column < cols; column += kNv) {
    float values[kNv];
    for (int i = 0; i < kNv; i += 2) {
      const auto pair = std::to_integer<unsigned>(weight[(column + i) / 2]);
      values[i] = table.e2m1[pair & 15u];
      values[i + 1] = table.e2m1[pair >> 4];
    }
    const float scale = table.e4m3[std::to_integer<std::uint8_t>(scales[column / kNv])];
    if (!store_products<kNv>(values, scale, out.weight + 2 * column)) return column;
  }
  return -1;
}

}  // namespace

std::span<const FloatMode> float_modes() {
  return kFloatModes;
}

const FloatMode* find_float_mode(QuantizationMode mode) {
  const auto found = std::ranges::find(kFloatModes, mode, &FloatMode::mode);
  return found == kFloatModes.end() ? nullptr : &*found;
}

WeightFormat exact_format(QuantizationMode mode) {
  if (mode == QuantizationMode::kMxfp4)
    return {
        .kind = WeightFormat::Kind::kAffine, .dtype = DType::kBF16, .bits = 5, .group_size = kMx};
  return {.kind = WeightFormat::Kind::kDense, .dtype = DType::kBF16};
}

Result<void> convert_rows(const FloatWeightView& from, std::int64_t begin, std::int64_t count,
                          const AffineRows& out) {
  const FloatMode& mode = *find_float_mode(from.mode);
  const auto convert = from.mode == QuantizationMode::kMxfp4   ? convert_mxfp4
                       : from.mode == QuantizationMode::kMxfp8 ? convert_mxfp8
                                                               : convert_nvfp4;
  const WeightView to{
      .name = {}, .format = exact_format(from.mode), .rows = from.rows, .cols = from.cols};
  const auto weight_bytes = static_cast<std::size_t>(from.cols * mode.bits / 8);
  const auto scale_bytes = static_cast<std::size_t>(from.cols / mode.group_size);
  for (std::int64_t i = 0; i < count; ++i) {
    const auto row = static_cast<std::size_t>(begin + i);
    const auto at = static_cast<std::size_t>(i);
    AffineRows one{.weight = out.weight + at * to.weight_row_bytes()};
    if (to.format.kind == WeightFormat::Kind::kAffine) {
      one.scales = out.scales + at * to.scales_row_bytes();
      one.biases = out.biases + at * to.scales_row_bytes();
    }
    const std::int64_t bad =
        convert(from.weight + row * weight_bytes, from.scales + row * scale_bytes, from.cols, one);
    if (bad >= 0)
      return fail({.code = ErrorCode::kNumeric,
                   .where = from.name,
                   .problem = fmt::format("row {}, columns {} to {} hold no {} numbers", begin + i,
                                          bad, bad + mode.group_size - 1, mode.name),
                   .expected = "finite values",
                   .found = "NaN, or magnitudes of 2^127 and more",
                   .hint = "the checkpoint is damaged: fetch it again"});
  }
  return {};
}

}  // namespace bobby
