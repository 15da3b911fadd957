#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <utility>

#include "backends/backend.h"
#include "backends/cpu/ops/ops.h"

namespace bobby::cpu {

/// KV blocks in mapped memory: [layers, blocks, key or value, heads], each of
/// KvShape::head_block_bytes() as KvFormat says.
class PagedKv : public KvStorage {
 public:
  enum Part { kKeys, kValues };

  static Result<std::unique_ptr<PagedKv>> make(const KvShape& shape);

  std::uint64_t saturated() const override { return saturated_.load(std::memory_order_relaxed); }
  /// Bytes from one block of a layer to the next.
  std::int64_t block_stride() const {
    return 2 * shape().num_key_value_heads * static_cast<std::int64_t>(shape().head_block_bytes());
  }
  /// Block 0 of a layer, for one head.
  std::byte* head(std::int64_t layer, Part part, std::int64_t head) const;
  /// Writes all heads of one position: values [num_key_value_heads, head_dim]. Different positions
  /// may be written at once.
  void store(const CpuOps& ops, std::int64_t layer, Part part, std::int32_t block,
             std::int64_t slot, const float* values);
  /// Block `to` becomes what block `from` is, in one layer.
  void copy_block(std::int64_t layer, std::int32_t from, std::int32_t to);
  /// One layer's part of a block, block_stride() bytes: [key or value, heads].
  std::span<std::byte> block(std::int64_t layer, std::int32_t block) const {
    return {head(layer, kKeys, 0) + block * block_stride(),
            static_cast<std::size_t>(block_stride())};
  }

 private:
  PagedKv(const KvShape& shape, std::unique_ptr<Buffer> memory)
      : KvStorage(shape), memory_(std::move(memory)) {}

  std::unique_ptr<Buffer> memory_;
  std::atomic<std::uint64_t> saturated_ = 0;
};

/// Where one row of a step stands: its position, and the block and slot that hold it.
struct RowPlace {
  std::int64_t row = 0;
  std::int64_t position = 0;
  std::int32_t block = 0;
  std::int64_t slot = 0;
};

}  // namespace bobby::cpu
