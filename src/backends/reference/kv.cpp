#include "backends/reference/kv.h"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <cstring>
#include <limits>

#include "tensor/half.h"

namespace bobby::reference {
namespace {

constexpr float kLargestHalf = 65504.0f;

}  // namespace

std::byte* HostKv::head_block(std::int64_t layer, Part part, std::int64_t head,
                              std::int32_t block) const {
  const KvShape& s = shape();
  assert(layer >= 0 && layer < s.layers && head >= 0 && head < s.num_key_value_heads);
  assert(block >= 0 && block < s.blocks);
  const std::int64_t index = ((layer * s.blocks + block) * 2 + part) * s.num_key_value_heads + head;
  return static_cast<std::byte*>(memory_->data()) +
         static_cast<std::size_t>(index) * s.head_block_bytes();
}

float* HostKv::scale_of(std::byte* head_block, std::int64_t slot) const {
  const auto tokens = static_cast<std::size_t>(shape().block_tokens);
  std::byte* scales = head_block + shape().head_block_bytes() - tokens * sizeof(float);
  return reinterpret_cast<float*>(scales) + slot;
}

void HostKv::store_half(const float* values, std::byte* to) {
  for (std::int64_t i = 0; i < shape().head_dim; ++i) {
    if (std::abs(values[i]) > kLargestHalf) ++saturated_;
    const float fitting = values[i] > kLargestHalf    ? kLargestHalf
                          : values[i] < -kLargestHalf ? -kLargestHalf
                                                      : values[i];
    reinterpret_cast<std::uint16_t*>(to)[i] = float_to_f16(fitting);
  }
}

void HostKv::store_int8(const float* values, std::byte* to, float* scale) const {
  float largest = 0.0f;
  bool finite = true;
  for (std::int64_t i = 0; i < shape().head_dim; ++i) {
    finite = finite && std::isfinite(values[i]);
    largest = std::max(largest, std::abs(values[i]));
  }
  *scale = finite ? largest / 127.0f : std::numeric_limits<float>::quiet_NaN();
  for (std::int64_t i = 0; i < shape().head_dim; ++i) {
    // A scale so small that it lost its digits may give more than 127 steps.
    const float steps =
        *scale > 0.0f ? std::clamp(std::nearbyint(values[i] / *scale), -127.0f, 127.0f) : 0.0f;
    reinterpret_cast<std::int8_t*>(to)[i] = static_cast<std::int8_t>(steps);
  }
}

void HostKv::store(std::int64_t layer, Part part, std::int64_t head, std::int32_t block,
                   std::int64_t slot, const float* values) {
  assert(slot >= 0 && slot < shape().block_tokens);
  std::byte* base = head_block(layer, part, head, block);
  const std::int64_t begin = slot * shape().head_dim;
  switch (shape().format) {
    case KvFormat::kF32:
      std::copy_n(values, shape().head_dim, reinterpret_cast<float*>(base) + begin);
      break;
    case KvFormat::kF16: store_half(values, base + begin * 2); break;
    case KvFormat::kInt8: store_int8(values, base + begin, scale_of(base, slot)); break;
  }
}

void HostKv::load(std::int64_t layer, Part part, std::int64_t head, std::int32_t block,
                  std::int64_t slot, float* out) const {
  assert(slot >= 0 && slot < shape().block_tokens);
  std::byte* base = head_block(layer, part, head, block);
  const std::int64_t begin = slot * shape().head_dim;
  const auto each = [&](const auto* cells, float scale) {
    for (std::int64_t i = 0; i < shape().head_dim; ++i)
      out[i] = scale * static_cast<float>(cells[begin + i]);
  };
  switch (shape().format) {
    case KvFormat::kF32: return each(reinterpret_cast<const float*>(base), 1.0f);
    case KvFormat::kInt8:
      return each(reinterpret_cast<const std::int8_t*>(base), *scale_of(base, slot));
    case KvFormat::kF16:
      for (std::int64_t i = 0; i < shape().head_dim; ++i)
        out[i] = f16_to_float(reinterpret_cast<const std::uint16_t*>(base)[begin + i]);
  }
}

void HostKv::copy_block(std::int32_t from, std::int32_t to) {
  for (std::int64_t layer = 0; layer < shape().layers; ++layer)
    std::memcpy(head_block(layer, kKeys, 0, to), head_block(layer, kKeys, 0, from), layer_bytes());
}

void HostKv::read_block(std::int32_t block, std::byte* host) const {
  for (std::int64_t layer = 0; layer < shape().layers; ++layer, host += layer_bytes())
    std::memcpy(host, head_block(layer, kKeys, 0, block), layer_bytes());
}

void HostKv::write_block(std::int32_t block, const std::byte* host) {
  for (std::int64_t layer = 0; layer < shape().layers; ++layer, host += layer_bytes())
    std::memcpy(head_block(layer, kKeys, 0, block), host, layer_bytes());
}

}  // namespace bobby::reference
