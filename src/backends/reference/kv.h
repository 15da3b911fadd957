#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "backends/backend.h"

namespace bobby::reference {

/// KV blocks in host memory: [layers, blocks, key or value, heads, block_tokens, head_dim].
class HostKv : public KvStorage {
 public:
  enum Part { kKeys, kValues };

  /// `memory`: shape.blocks * shape.block_bytes() bytes.
  HostKv(const KvShape& shape, std::unique_ptr<Buffer> memory)
      : KvStorage(shape), memory_(std::move(memory)) {}

  /// Writes head_dim numbers for one position. kF16 rounds to nearest even and saturates at
  /// +-65504 (NaN stays NaN).
  void store(std::int64_t layer, Part part, std::int64_t head, std::int32_t block,
             std::int64_t slot, const float* values);
  /// Reads them back: out[head_dim].
  void load(std::int64_t layer, Part part, std::int64_t head, std::int32_t block, std::int64_t slot,
            float* out) const;

 private:
  std::size_t offset(std::int64_t layer, Part part, std::int64_t head, std::int32_t block,
                     std::int64_t slot) const;

  std::unique_ptr<Buffer> memory_;
};

}  // namespace bobby::reference
