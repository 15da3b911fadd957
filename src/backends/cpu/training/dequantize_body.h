#pragma once

// A tile of a frozen weight to fp32, over a vector type V whose half-to-float conversion is used.
// The rule of ../ops/ops_body.h holds: builtins and templates over V only.

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "backends/cpu/training/kernels.h"

namespace bobby::cpu {

template <typename V>
struct DequantizeBody {
  using Element = WeightRows::Element;
  static constexpr int kPiece = 32;  // columns: a group, or a part of one

  static float number(Element element, const std::byte* at) {
    if (element == Element::kF32) {
      float value;
      std::memcpy(&value, at, sizeof value);
      return value;
    }
    std::uint16_t half;
    std::memcpy(&half, at, sizeof half);
    if (element == Element::kF16) return V::first(V::load_half_n(&half, 1));
    const std::uint32_t bits = static_cast<std::uint32_t>(half) << 16;
    float value;
    std::memcpy(&value, &bits, sizeof value);
    return value;
  }

  // Vectors of the compiler's own, so that one text serves every instruction set.
  static constexpr int kHalf = kPiece / 2;
  typedef std::uint8_t Bytes __attribute__((vector_size(kHalf)));
  typedef std::int32_t Ints __attribute__((vector_size(kHalf * 4)));
  typedef float Floats __attribute__((vector_size(kHalf * 4)));

  /// kPiece levels of kBits, from kPiece * kBits / 8 bytes.
  template <int kBits>
  static void unpack(const std::byte* packed, Bytes& first, Bytes& second) {
    if constexpr (kBits == 8) {
      std::memcpy(&first, packed, sizeof first);
      std::memcpy(&second, packed + kHalf, sizeof second);
    } else if constexpr (kBits == 4) {
      Bytes pairs;
      std::memcpy(&pairs, packed, sizeof pairs);
      const Bytes low = pairs & 15;
      const Bytes high = pairs >> 4;
      first = __builtin_shufflevector(low, high, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7,
                                      23);
      second = __builtin_shufflevector(low, high, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14,
                                       30, 15, 31);
    } else {
      std::uint8_t bytes[kPiece * kBits / 8];
      std::uint8_t levels[kPiece];
      std::memcpy(bytes, packed, sizeof bytes);
      for (int i = 0; i < kPiece; i += 8) {
        std::uint64_t string = 0;
        for (int j = 0; j < kBits; ++j)
          string |= static_cast<std::uint64_t>(bytes[i / 8 * kBits + j]) << (8 * j);
        for (int j = 0; j < 8; ++j)
          levels[i + j] = static_cast<std::uint8_t>((string >> (kBits * j)) & ((1u << kBits) - 1u));
      }
      std::memcpy(&first, levels, sizeof first);
      std::memcpy(&second, levels + kHalf, sizeof second);
    }
  }

  static void store(Bytes levels, float scale, float bias, float* to) {
    const Floats q = __builtin_convertvector(__builtin_convertvector(levels, Ints), Floats);
    const Floats value = q * scale + bias;
    std::memcpy(to, &value, sizeof value);
  }

  template <int kBits, Element kElement>
  static void affine(const WeightTile& tile, float* out, std::int64_t stride) {
    const WeightRows& from = tile.from;
    constexpr std::int64_t kBytes = kElement == Element::kF32 ? 4 : 2;
    const int group_bits = __builtin_ctz(static_cast<unsigned>(from.group_size));
    for (std::int64_t r = 0; r < tile.rows; ++r) {
      const auto row = static_cast<std::size_t>(tile.row + r);
      const std::byte* weight = from.weight + row * from.weight_row_bytes;
      const std::byte* scales = from.scales + row * from.scales_row_bytes;
      const std::byte* biases = from.biases + row * from.scales_row_bytes;
      float* to = out + r * stride;
      for (std::int64_t col = tile.col; col < tile.col + tile.cols; col += kPiece, to += kPiece) {
        const std::int64_t group = col >> group_bits;
        const float scale = number(kElement, scales + group * kBytes);
        const float bias = number(kElement, biases + group * kBytes);
        Bytes first;
        Bytes second;
        unpack<kBits>(weight + col * kBits / 8, first, second);
        store(first, scale, bias, to);
        store(second, scale, bias, to + kHalf);
      }
    }
  }

  template <int kBits>
  static void affine(const WeightTile& tile, float* out, std::int64_t stride) {
    switch (tile.from.element) {
      case Element::kF32: return affine<kBits, Element::kF32>(tile, out, stride);
      case Element::kF16: return affine<kBits, Element::kF16>(tile, out, stride);
      case Element::kBf16: return affine<kBits, Element::kBf16>(tile, out, stride);
    }
  }

  static void dense(const WeightTile& tile, float* out, std::int64_t stride) {
    const WeightRows& from = tile.from;
    for (std::int64_t r = 0; r < tile.rows; ++r) {
      const std::byte* row =
          from.weight + static_cast<std::size_t>(tile.row + r) * from.weight_row_bytes;
      float* to = out + r * stride;
      if (from.element == Element::kF32) {
        std::memcpy(to, row + tile.col * 4, static_cast<std::size_t>(tile.cols) * sizeof *to);
      } else if (from.element == Element::kBf16) {
        for (std::int64_t i = 0; i < tile.cols; ++i) {
          std::uint16_t half;
          std::memcpy(&half, row + (tile.col + i) * 2, sizeof half);
          const std::uint32_t bits = static_cast<std::uint32_t>(half) << 16;
          std::memcpy(to + i, &bits, sizeof bits);
        }
      } else {
        for (std::int64_t i = 0; i < tile.cols; i += V::kLanes) {
          const std::int64_t rest = tile.cols - i;
          const std::int64_t lanes = rest < V::kLanes ? rest : V::kLanes;
          std::uint16_t halves[V::kLanes] = {};
          std::memcpy(halves, row + (tile.col + i) * 2, static_cast<std::size_t>(lanes) * 2);
          V::store_n(to + i, V::load_half_n(halves, lanes), lanes);
        }
      }
    }
  }

  static void dequantize(const WeightTile& tile, float* out, std::int64_t stride) {
    if (tile.from.scales == nullptr) return dense(tile, out, stride);
    switch (tile.from.bits) {
      case 2: return affine<2>(tile, out, stride);
      case 3: return affine<3>(tile, out, stride);
      case 4: return affine<4>(tile, out, stride);
      case 5: return affine<5>(tile, out, stride);
      case 6: return affine<6>(tile, out, stride);
      default: return affine<8>(tile, out, stride);
    }
  }
};

}  // namespace bobby::cpu
