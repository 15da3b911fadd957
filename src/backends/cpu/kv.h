#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>

#include "backends/backend.h"
#include "backends/cpu/ops/ops.h"

namespace bobby::cpu {

/// KV blocks in mapped memory: [layers, blocks, key or value, heads, block_tokens, head_dim].
class PagedKv : public KvStorage {
 public:
  enum Part { kKeys, kValues };

  static Result<std::unique_ptr<PagedKv>> make(const KvShape& shape);

  bool half() const { return shape().format == KvFormat::kF16; }
  /// Elements from one block of a layer to the next.
  std::int64_t block_stride() const {
    return 2 * shape().num_key_value_heads * shape().block_tokens * shape().head_dim;
  }
  /// [block_tokens, head_dim] of block 0 of a layer, for one head.
  void* head(std::int64_t layer, Part part, std::int64_t head) const;
  /// Writes all heads of one position: values [num_key_value_heads, head_dim].
  void store(const CpuOps& ops, std::int64_t layer, Part part, std::int32_t block,
             std::int64_t slot, const float* values);

 private:
  PagedKv(const KvShape& shape, std::unique_ptr<Buffer> memory)
      : KvStorage(shape), memory_(std::move(memory)) {}

  std::unique_ptr<Buffer> memory_;
};

/// Where one row of a step stands: its position, and the block and slot that hold it.
struct RowPlace {
  std::int64_t row = 0;
  std::int64_t position = 0;
  std::int32_t block = 0;
  std::int64_t slot = 0;
};

}  // namespace bobby::cpu
