#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "backends/backend.h"
#include "backends/mlx/machine.h"
#include "backends/mlx/step_rows.h"

namespace bobby::mlx_backend {

/// Keys or values of one layer: [tokens of all blocks, num_key_value_heads, 1, head_dim], so that
/// what one step adds to a sequence, and what a sequence of neighbouring blocks holds, is one
/// stretch.
struct KvPool {
  mx::array numbers;                ///< fp32, fp16 or int8
  std::optional<mx::array> scales;  ///< int8: fp32 [tokens, num_key_value_heads, 1, 1]
};
using KvPools = std::vector<KvPool>;  ///< [layers, key or value]

/// Computes what was stored in them.
void finish(const KvPools& pools);

/// KV blocks in MLX's memory. It grows with the highest block that was used, by half at a time.
class MlxKv : public KvStorage {
 public:
  MlxKv(const KvShape& shape, const Machine& machine);

  /// Keys and values of a step, fp32 [rows, num_key_value_heads, 1, head_dim] each, go where `rows`
  /// says.
  void store(std::int64_t layer, mx::array keys, mx::array values, const StepRows& rows);

  /// What a kernel of our own stores a step's rows in: the memory that stands, changed in place.
  /// stored_by() says whose work that is; what MLX does with the cache afterwards comes behind it.
  std::pair<const mx::array&, const mx::array&> to_store_in(std::int64_t layer,
                                                            const StepRows& rows);
  void stored_by(mx::array result);
  std::pair<const mx::array&, const mx::array&> stored(std::int64_t layer) const;  ///< keys, values

  struct View {
    mx::array keys;  ///< [1, num_key_value_heads, tokens, head_dim]
    mx::array values;
  };
  /// One sequence's tokens. `dtype`: what the attention works in, fp16 or fp32.
  View view(std::int64_t layer, const TokenSlots& slots, mx::Dtype dtype) const;
  /// Those of several, [sequences, num_key_value_heads, tokens of the longest, head_dim] in fp32;
  /// what is beyond a sequence's own is anything finite.
  View gather(std::int64_t layer, const mx::array& slots) const;

  void copy_block(std::int32_t from, std::int32_t to);
  void read_block(std::int32_t block, std::byte* host) const;
  void write_block(std::int32_t block, const std::byte* host);
  std::weak_ptr<KvPools> pools() const { return pools_; }

  std::uint64_t saturated() const override;

 private:
  enum Part { kKeys, kValues };
  KvPool& pool(std::int64_t layer, Part part) const;
  /// Begins with the writes in place that have not begun.
  void settle() const;
  void forget_begun() const;
  /// Memory for every block up to `block`.
  void reach(std::int32_t block);
  KvPool encode(const mx::array& numbers) const;
  mx::array decode(const mx::array& numbers, const std::optional<mx::array>& scales,
                   mx::Dtype dtype) const;
  mx::array whole_block(const mx::array& pool, std::int32_t block) const;
  mx::Dtype dtype() const;

  const Machine& machine_;
  /// Numbers as the nearest fp16 that is finite, in one kernel where MLX writes kernels.
  std::function<std::vector<mx::array>(const std::vector<mx::array>&)> to_half_;
  std::shared_ptr<KvPools> pools_;
  std::int64_t blocks_ = 0;  // that there is memory for
  mutable std::vector<mx::array> unsettled_;
  mutable std::uint64_t saturated_ = 0;
};

}  // namespace bobby::mlx_backend
