#include "backends/cpu/kv.h"

#include <cassert>
#include <cstring>
#include <fmt/format.h>

#include "backends/cpu/memory.h"

namespace bobby::cpu {

Result<std::unique_ptr<PagedKv>> PagedKv::make(const KvShape& shape) {
  assert(shape.layers > 0 && shape.num_key_value_heads > 0 && shape.head_dim > 0);
  assert(shape.block_tokens > 0 && shape.blocks > 0);
  Result<std::unique_ptr<Buffer>> memory =
      shape.bytes_at_most() < 0x1p62
          ? map_memory(static_cast<std::size_t>(shape.blocks) * shape.block_bytes())
          : fail({.code = ErrorCode::kLimit, .problem = "more than any machine has"});
  if (!memory) {
    Error error = std::move(memory).error().in(
        fmt::format("KV cache of {:.0f} bytes", shape.bytes_at_most()));
    error.hint = "ask for a shorter context or fewer sequences";
    return fail(std::move(error));
  }
  return std::unique_ptr<PagedKv>(new PagedKv(shape, *std::move(memory)));
}

std::byte* PagedKv::head(std::int64_t layer, Part part, std::int64_t head) const {
  assert(layer >= 0 && layer < shape().layers);
  assert(head >= 0 && head < shape().num_key_value_heads);
  const std::int64_t before = part * shape().num_key_value_heads + head;
  return static_cast<std::byte*>(memory_->data()) + layer * shape().blocks * block_stride() +
         before * static_cast<std::int64_t>(shape().head_block_bytes());
}

void PagedKv::store(const CpuOps& ops, std::int64_t layer, Part part, std::int32_t block,
                    std::int64_t slot, const float* values) {
  assert(block >= 0 && block < shape().blocks && slot >= 0 && slot < shape().block_tokens);
  const std::int64_t head_dim = shape().head_dim;
  for (std::int64_t h = 0; h < shape().num_key_value_heads; ++h) {
    std::byte* cells = head(layer, part, h) + block * block_stride();
    const float* from = values + h * head_dim;
    switch (shape().format) {
      case KvFormat::kF32:
        std::memcpy(reinterpret_cast<float*>(cells) + slot * head_dim, from,
                    static_cast<std::size_t>(head_dim) * sizeof(float));
        break;
      case KvFormat::kF16: {
        auto* to = reinterpret_cast<std::uint16_t*>(cells) + slot * head_dim;
        const std::int64_t saturated = ops.to_half(from, head_dim, to);
        if (saturated > 0)
          saturated_.fetch_add(static_cast<std::uint64_t>(saturated), std::memory_order_relaxed);
        break;
      }
      case KvFormat::kInt8: {
        auto* to = reinterpret_cast<std::int8_t*>(cells) + slot * head_dim;
        const auto tokens = static_cast<std::size_t>(shape().block_tokens);
        auto* scales = reinterpret_cast<float*>(cells + shape().head_block_bytes()) - tokens;
        scales[slot] = ops.to_int8(from, head_dim, to);
        break;
      }
    }
  }
}

void PagedKv::copy_block(std::int64_t layer, std::int32_t from, std::int32_t to) {
  assert(from >= 0 && from < shape().blocks && to >= 0 && to < shape().blocks);
  const std::span<const std::byte> source = block(layer, from);
  std::memcpy(block(layer, to).data(), source.data(), source.size());
}

}  // namespace bobby::cpu
