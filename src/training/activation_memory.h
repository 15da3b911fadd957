#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "backends/backend.h"
#include "base/result.h"
#include "model/config.h"
#include "training/network_weights.h"
#include "training/trained_pairs.h"

namespace bobby {

/// What a block's backward reads, by rows of the batch. Sizes: q is num_attention_heads * head_dim
/// wide, k and v are num_key_value_heads * head_dim.
struct KeptBlock {
  Activation x = {};            ///< [rows, hidden_size], the block's input
  Activation q_projected = {};  ///< [rows, q], before norm and rotation
  Activation k_projected = {};  ///< [rows, kv]
  Activation v = {};            ///< [rows, kv]
  Activation attention = {};    ///< [rows, q]
  Activation x_middle = {};     ///< [rows, hidden_size], between attention and MLP
  Activation gate = {};         ///< [rows, intermediate_size]
  Activation up = {};           ///< [rows, intermediate_size]
  std::array<Activation, kBlockProjections> low = {};       ///< [rows, rank] where there is a pair
  std::array<Activation, kBlockProjections> unscaled = {};  ///< [rows, out_features] where DoRA is
};

/// What is used while one block runs.
struct PassingMemory {
  Activation hidden = {};   ///< [rows, hidden_size]
  Activation product = {};  ///< [rows, intermediate_size]
  Activation q = {};        ///< [rows, q]
  Activation k = {};        ///< [rows, kv]
  // For the backward alone.
  Activation x_gradient = {};          ///< [rows, hidden_size]
  Activation hidden_gradient = {};     ///< [rows, hidden_size]
  Activation gate_gradient = {};       ///< [rows, intermediate_size]
  Activation up_gradient = {};         ///< [rows, intermediate_size]
  Activation attention_gradient = {};  ///< [rows, q]
  Activation q_gradient = {};          ///< [rows, q]
  Activation k_gradient = {};          ///< [rows, kv]
  Activation v_gradient = {};          ///< [rows, kv]
};

/// The activations of a stretch of blocks, in one buffer that grows with the batches.
class ActivationMemory {
 public:
  enum class Keep : std::uint8_t {
    kNothing,  ///< forward alone: every block uses the same memory, its input's too
    kInputs,   ///< each block's input; the rest is shared
    kAll,
  };

  /// Blocks [begin, end).
  ActivationMemory(const NetworkWeights& weights, const TrainedPairs& pairs, Backend& backend,
                   std::size_t begin, std::size_t end)
      : weights_(weights), pairs_(pairs), backend_(backend), begin_(begin), end_(end) {}

  /// Lays out memory for a batch of `rows` rows. What was there before is lost.
  Result<void> prepare(std::int64_t rows, Keep keep);
  /// Bytes that prepare() would need.
  std::size_t bytes(std::int64_t rows, Keep keep) const;

  const KeptBlock& kept(std::size_t block) const { return places_.kept[block - begin_]; }
  /// The input of `block`; of `end`: the output of the last block.
  const Activation& x(std::size_t block) const {
    return block == end_ ? places_.last : kept(block).x;
  }
  const PassingMemory& passing() const { return places_.passing; }

 private:
  class Layout;
  struct Places {
    std::vector<KeptBlock> kept;
    Activation last = {};
    PassingMemory passing = {};
  };
  Places lay_out(Layout& layout, Keep keep) const;
  KeptBlock lay_out_block(Layout& layout, std::size_t first, std::size_t last) const;
  PassingMemory lay_out_passing(Layout& layout, bool backward) const;

  const NetworkWeights& weights_;
  const TrainedPairs& pairs_;
  Backend& backend_;
  std::size_t begin_;
  std::size_t end_;
  std::unique_ptr<Buffer> buffer_;
  Places places_;
};

}  // namespace bobby
