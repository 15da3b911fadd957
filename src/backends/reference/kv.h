#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "backends/backend.h"

namespace bobby::reference {

/// KV blocks in host memory: [layers, blocks, key or value, heads], each of
/// KvShape::head_block_bytes() as KvFormat says.
class HostKv : public KvStorage {
 public:
  enum Part { kKeys, kValues };

  /// `memory`: shape.blocks * shape.block_bytes() bytes.
  HostKv(const KvShape& shape, std::unique_ptr<Buffer> memory)
      : KvStorage(shape), memory_(std::move(memory)) {}

  std::uint64_t saturated() const override { return saturated_; }
  /// Block `to` becomes what block `from` is, in every layer.
  void copy_block(std::int32_t from, std::int32_t to);
  /// All layers of a block: KvShape::block_bytes(), as the seam lays them out.
  void read_block(std::int32_t block, std::byte* host) const;
  void write_block(std::int32_t block, const std::byte* host);

  /// Writes head_dim numbers for one position.
  void store(std::int64_t layer, Part part, std::int64_t head, std::int32_t block,
             std::int64_t slot, const float* values);
  /// Reads them back: out[head_dim].
  void load(std::int64_t layer, Part part, std::int64_t head, std::int32_t block, std::int64_t slot,
            float* out) const;

 private:
  /// Bytes of a block in one layer.
  std::size_t layer_bytes() const {
    return 2 * static_cast<std::size_t>(shape().num_key_value_heads) * shape().head_block_bytes();
  }
  /// The head's part of a block.
  std::byte* head_block(std::int64_t layer, Part part, std::int64_t head, std::int32_t block) const;
  void store_half(const float* values, std::byte* to);
  void store_int8(const float* values, std::byte* to, float* scale) const;
  float* scale_of(std::byte* head_block, std::int64_t slot) const;

  std::unique_ptr<Buffer> memory_;
  std::uint64_t saturated_ = 0;
};

}  // namespace bobby::reference
