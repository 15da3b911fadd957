#include "backends/cpu/kv.h"

#include <cassert>
#include <cstring>
#include <fmt/format.h>

#include "backends/cpu/memory.h"

namespace bobby::cpu {

Result<std::unique_ptr<PagedKv>> PagedKv::make(const KvShape& shape) {
  // Sizes are multiplied in floating point first: no shape, however large, wraps round.
  double bytes = shape.format == KvFormat::kF32 ? 8.0 : 4.0;
  for (const std::int64_t extent : {shape.layers, shape.num_key_value_heads, shape.head_dim,
                                    shape.block_tokens, shape.blocks}) {
    assert(extent > 0);
    bytes *= static_cast<double>(extent);
  }
  Result<std::unique_ptr<Buffer>> memory =
      bytes < 0x1p62 ? map_memory(static_cast<std::size_t>(shape.blocks) * shape.block_bytes())
                     : fail({.code = ErrorCode::kLimit, .problem = "more than any machine has"});
  if (!memory) {
    Error error = std::move(memory).error().in(fmt::format("KV cache of {:.0f} bytes", bytes));
    error.hint = "ask for a shorter context or fewer sequences";
    return fail(std::move(error));
  }
  return std::unique_ptr<PagedKv>(new PagedKv(shape, *std::move(memory)));
}

void* PagedKv::head(std::int64_t layer, Part part, std::int64_t head) const {
  assert(layer >= 0 && layer < shape().layers);
  assert(head >= 0 && head < shape().num_key_value_heads);
  const std::int64_t per_head = shape().block_tokens * shape().head_dim;
  const std::int64_t element = layer * shape().blocks * block_stride() +
                               (part * shape().num_key_value_heads + head) * per_head;
  return static_cast<std::byte*>(memory_->data()) + element * (half() ? 2 : 4);
}

void PagedKv::store(const CpuOps& ops, std::int64_t layer, Part part, std::int32_t block,
                    std::int64_t slot, const float* values) {
  assert(block >= 0 && block < shape().blocks && slot >= 0 && slot < shape().block_tokens);
  const std::int64_t head_dim = shape().head_dim;
  for (std::int64_t h = 0; h < shape().num_key_value_heads; ++h) {
    const std::int64_t element = block * block_stride() + slot * head_dim;
    const float* from = values + h * head_dim;
    if (half())
      ops.to_half(from, head_dim, static_cast<std::uint16_t*>(head(layer, part, h)) + element);
    else
      std::memcpy(static_cast<float*>(head(layer, part, h)) + element, from,
                  static_cast<std::size_t>(head_dim) * sizeof(float));
  }
}

}  // namespace bobby::cpu
