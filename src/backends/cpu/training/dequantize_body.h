#pragma once

// A tile of a frozen weight to fp32, over a vector type V of training_vector.h. The rule of
// ../ops/ops_body.h holds: builtins and templates over V only.

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "backends/cpu/training/kernels.h"

namespace bobby::cpu {

template <typename V>
struct DequantizeBody {
  using Reg = typename V::Reg;
  using Element = WeightRows::Element;
  static constexpr int kPiece = 32;  // columns: a group, or a part of one

  static float widen_bf16(const std::byte* at) {
    std::uint16_t half;
    std::memcpy(&half, at, sizeof half);
    const std::uint32_t bits = static_cast<std::uint32_t>(half) << 16;
    float value;
    std::memcpy(&value, &bits, sizeof value);
    return value;
  }

  static float number(Element element, const std::byte* at) {
    if (element == Element::kBf16) return widen_bf16(at);
    // Read where it lies: through a copy the vector's load would wait for the number's store.
    if (element == Element::kF16)
      return V::first(V::load_half_n(reinterpret_cast<const std::uint16_t*>(at), 1));
    float value;
    std::memcpy(&value, at, sizeof value);
    return value;
  }

  /// kPiece levels of kBits, one a byte.
  template <int kBits>
  static void unpack(const std::byte* packed, std::uint8_t* levels) {
    std::uint8_t bytes[kPiece * kBits / 8];
    std::memcpy(bytes, packed, sizeof bytes);
    for (int i = 0; i < kPiece; i += 8) {
      std::uint64_t string = 0;
      for (int j = 0; j < kBits; ++j)
        string |= static_cast<std::uint64_t>(bytes[i / 8 * kBits + j]) << (8 * j);
      for (int j = 0; j < 8; ++j)
        levels[i + j] = static_cast<std::uint8_t>((string >> (kBits * j)) & ((1u << kBits) - 1u));
    }
  }

  template <int kBits>
  static void piece(const std::byte* packed, float scale, float bias, float* to) {
    std::uint8_t unpacked[kPiece];
    if constexpr (kBits != 4 && kBits != 8) unpack<kBits>(packed, unpacked);
    const Reg factor = V::set1(scale);
    const Reg shift = V::set1(bias);
    for (int i = 0; i < kPiece; i += V::kLanes) {
      Reg q;
      if constexpr (kBits == 4)
        q = V::load_levels4(packed + i / 2);
      else if constexpr (kBits == 8)
        q = V::load_levels8(packed + i);
      else
        q = V::load_levels8(reinterpret_cast<const std::byte*>(unpacked + i));
      V::store(to + i, V::add(V::mul(factor, q), shift));
    }
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
        piece<kBits>(weight + col * kBits / 8, number(kElement, scales + group * kBytes),
                     number(kElement, biases + group * kBytes), to);
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
        for (std::int64_t i = 0; i < tile.cols; ++i) to[i] = widen_bf16(row + (tile.col + i) * 2);
      } else {
        const auto* halves = reinterpret_cast<const std::uint16_t*>(row) + tile.col;
        for (std::int64_t i = 0; i < tile.cols; i += V::kLanes) {
          const std::int64_t rest = tile.cols - i;
          const std::int64_t lanes = rest < V::kLanes ? rest : V::kLanes;
          V::store_n(to + i, V::load_half_n(halves + i, lanes), lanes);
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
