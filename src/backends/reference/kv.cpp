#include "backends/reference/kv.h"

#include <algorithm>
#include <cassert>

#include "tensor/half.h"

namespace bobby::reference {
namespace {

constexpr float kLargestHalf = 65504.0f;

std::uint16_t to_half_saturated(float value) {
  return float_to_f16(value > kLargestHalf    ? kLargestHalf
                      : value < -kLargestHalf ? -kLargestHalf
                                              : value);
}

}  // namespace

std::size_t HostKv::offset(std::int64_t layer, Part part, std::int64_t head, std::int32_t block,
                           std::int64_t slot) const {
  const KvShape& s = shape();
  assert(layer >= 0 && layer < s.layers && head >= 0 && head < s.num_key_value_heads);
  assert(block >= 0 && block < s.blocks && slot >= 0 && slot < s.block_tokens);
  const std::int64_t index = ((layer * s.blocks + block) * 2 + part) * s.num_key_value_heads + head;
  return static_cast<std::size_t>((index * s.block_tokens + slot) * s.head_dim);
}

void HostKv::store(std::int64_t layer, Part part, std::int64_t head, std::int32_t block,
                   std::int64_t slot, const float* values) {
  const std::size_t begin = offset(layer, part, head, block, slot);
  const auto count = static_cast<std::size_t>(shape().head_dim);
  if (shape().format == KvFormat::kF32)
    std::copy_n(values, count, static_cast<float*>(memory_->data()) + begin);
  else
    for (std::size_t i = 0; i < count; ++i)
      static_cast<std::uint16_t*>(memory_->data())[begin + i] = to_half_saturated(values[i]);
}

void HostKv::load(std::int64_t layer, Part part, std::int64_t head, std::int32_t block,
                  std::int64_t slot, float* out) const {
  const std::size_t begin = offset(layer, part, head, block, slot);
  const auto count = static_cast<std::size_t>(shape().head_dim);
  if (shape().format == KvFormat::kF32)
    std::copy_n(static_cast<const float*>(memory_->data()) + begin, count, out);
  else
    for (std::size_t i = 0; i < count; ++i)
      out[i] = f16_to_float(static_cast<const std::uint16_t*>(memory_->data())[begin + i]);
}

}  // namespace bobby::reference
