#include "hub/gguf_blocks.h"

#include <array>
#include <cmath>
#include <cstring>
#include <fmt/format.h>

#include "tensor/half.h"

namespace bobby {
namespace {

constexpr std::int64_t kGroup = 32;

struct Block {
  std::uint16_t scale = 0;
  std::uint16_t bias = 0;
  std::array<std::uint8_t, kGroup> levels{};
};

std::uint16_t load16(const std::byte* bytes) {
  std::uint16_t value;
  std::memcpy(&value, bytes, sizeof value);
  return value;
}

// 16 bytes hold values 0..15 in their low nibbles and 16..31 in their high ones.
void split_nibbles(const std::byte* nibbles, Block& block) {
  for (std::size_t i = 0; i < 16; ++i) {
    const auto byte = std::to_integer<std::uint8_t>(nibbles[i]);
    block.levels[i] = byte & 15;
    block.levels[i + 16] = byte >> 4;
  }
}

// float16 bits of factor * scale; the caller checks the range. Exact for powers of two in range.
std::uint16_t scaled(std::uint16_t scale, float factor) {
  return float_to_f16(f16_to_float(scale) * factor);
}

Block read_block(GgufType type, const std::byte* bytes) {
  Block block;
  block.scale = load16(bytes);
  if (type == GgufType::kQ4_1) {
    block.bias = load16(bytes + 2);
    split_nibbles(bytes + 4, block);
  } else if (type == GgufType::kQ4_0) {
    block.bias = scaled(block.scale, -8.0f);
    split_nibbles(bytes + 2, block);
  } else {
    block.bias = scaled(block.scale, -128.0f);
    for (std::size_t i = 0; i < kGroup; ++i)
      block.levels[i] = static_cast<std::uint8_t>(std::to_integer<int>(bytes[2 + i]) ^ 0x80);
  }
  return block;
}

std::size_t block_bytes(GgufType type) {
  if (type == GgufType::kQ8_0) return 34;
  return type == GgufType::kQ4_1 ? 20 : 18;
}

bool finite_half(std::uint16_t bits) {
  return (bits & 0x7c00u) != 0x7c00u;
}

}  // namespace

int affine_bits(std::uint32_t type) {
  switch (static_cast<GgufType>(type)) {
    case GgufType::kQ4_0:
    case GgufType::kQ4_1: return 4;
    case GgufType::kQ8_0: return 8;
    default: return 0;
  }
}

Result<AffineTensor> affine_from_blocks(const GgufTensor& tensor, const std::string& where,
                                        std::span<const std::int64_t> row_source) {
  const auto type = static_cast<GgufType>(tensor.type);
  const int bits = affine_bits(tensor.type);
  const std::int64_t rows = tensor.shape.at(0);
  const std::int64_t groups = tensor.shape.at(1) / kGroup;
  const std::size_t row_bytes = static_cast<std::size_t>(groups) * block_bytes(type);
  const auto words_per_group = static_cast<std::size_t>(bits);  // 32 values of `bits` bits

  AffineTensor affine;
  affine.format = {WeightFormat::Kind::kAffine, DType::kF16, bits, static_cast<int>(kGroup)};
  affine.weight.resize(static_cast<std::size_t>(rows * groups) * words_per_group);
  affine.scales.resize(static_cast<std::size_t>(rows * groups));
  affine.biases.resize(affine.scales.size());
  for (std::int64_t row = 0; row < rows; ++row) {
    const std::int64_t source =
        row_source.empty() ? row : row_source[static_cast<std::size_t>(row)];
    const std::byte* bytes = tensor.data.data() + static_cast<std::size_t>(source) * row_bytes;
    for (std::int64_t group = 0; group < groups; ++group, bytes += block_bytes(type)) {
      const Block block = read_block(type, bytes);
      const auto index = static_cast<std::size_t>(row * groups + group);
      if (finite_half(block.scale) && !finite_half(block.bias))
        return fail(
            {.code = ErrorCode::kUnsupported,
             .where = where,
             .problem = fmt::format("row {}: the scale {} is too large for a lossless import "
                                    "(its bias leaves float16)",
                                    source, f16_to_float(block.scale))});
      affine.scales[index] = block.scale;
      affine.biases[index] = block.bias;
      std::uint32_t* words = affine.weight.data() + index * words_per_group;
      const std::size_t per_word = 32 / static_cast<std::size_t>(bits);
      for (std::size_t i = 0; i < kGroup; ++i)
        words[i / per_word] |= static_cast<std::uint32_t>(block.levels[i])
                               << (i % per_word * static_cast<std::size_t>(bits));
    }
  }
  return affine;
}

}  // namespace bobby
