#pragma once

// The KV cache as the seam names it: see backend.h.

#include <cstddef>
#include <cstdint>

#include "backends/kv_format.h"

namespace bobby {

/// A pool of KV blocks. Block i of layer l holds `block_tokens` consecutive positions of one
/// sequence (or of the prefix that several share), for all heads: keys and values each
/// [num_key_value_heads, block_tokens, head_dim].
struct KvShape {
  std::int64_t layers = 0;
  std::int64_t num_key_value_heads = 0;
  std::int64_t head_dim = 0;
  std::int64_t block_tokens = 32;
  std::int64_t blocks = 0;
  KvFormat format = KvFormat::kF16;

  /// Bytes of one head's keys (or values) in one block. For kInt8 the scales are the end of it.
  std::size_t head_block_bytes() const {
    const auto tokens = static_cast<std::size_t>(block_tokens);
    const std::size_t numbers = tokens * static_cast<std::size_t>(head_dim);
    switch (format) {
      case KvFormat::kF32: return numbers * 4;
      case KvFormat::kF16: return numbers * 2;
      case KvFormat::kInt8: return (numbers + 3) / 4 * 4 + tokens * 4;
    }
    return 0;
  }
  /// Bytes of one block over all layers, keys and values.
  std::size_t block_bytes() const {
    return static_cast<std::size_t>(layers * 2 * num_key_value_heads) * head_block_bytes();
  }
  /// No less than the bytes of the pool, in floating point: no shape, however large, wraps round.
  double bytes_at_most() const {
    const double vectors = 2.0 * static_cast<double>(layers) *
                           static_cast<double>(num_key_value_heads) *
                           static_cast<double>(block_tokens) * static_cast<double>(blocks);
    const double number = format == KvFormat::kF32 ? 4.0 : format == KvFormat::kF16 ? 2.0 : 1.0;
    return vectors * (number * static_cast<double>(head_dim) + 7.0);
  }
};

/// The pool itself, in a backend's memory. Who owns which block is the generation room's business.
class KvStorage {
 public:
  explicit KvStorage(KvShape shape) : shape_(shape) {}
  virtual ~KvStorage() = default;
  const KvShape& shape() const { return shape_; }
  /// Numbers stored so far that kF16 could not hold.
  virtual std::uint64_t saturated() const = 0;

 private:
  KvShape shape_;
};

}  // namespace bobby
