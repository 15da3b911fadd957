#pragma once

#include <cstdint>
#include <initializer_list>
#include <memory>
#include <span>
#include <vector>

#include "backends/backend.h"
#include "model/config.h"
#include "model/model.h"
#include "model/weight_loader.h"

namespace bobby {

/// For each module, by slot: the rows of a step that adapters change. Refilled every step in the
/// same memory.
class LoraTable {
 public:
  /// Consecutive rows with one list of adapters.
  struct Rows {
    std::int64_t begin = 0;
    std::int64_t count = 0;
    std::span<const AdapterUse> adapters;
  };

  /// `rows` are those of every module but the last; `head_rows` those of the last, the head, which
  /// sees only rows that want logits. Neighbours with the same adapters are joined.
  void fill(int slots, std::span<const Rows> rows, std::span<const Rows> head_rows);
  std::span<const LoraRows> operator[](int slot) const;

 private:
  void append(int slot, std::span<const Rows> rows);

  std::vector<LoraRows> entries_;
  std::vector<std::size_t> begins_;  // [slots + 1], or empty when no row has an adapter
};

/// One step on its way through the layers: the rows of all sequences together.
struct Step {
  Backend& backend;
  KvStorage& kv;
  const LoraTable& lora;
  std::span<const std::int32_t> tokens;       // [rows]
  std::span<const SequenceRows> sequences;    // cover the rows in order
  std::span<const std::int32_t> logits_rows;  // rows that want logits, ascending

  Activation x = {};          // [rows, hidden_size], the residual stream
  Activation hidden = {};     // [rows, hidden_size], what a block reads, then what it adds to x
  Activation q = {};          // [rows, num_attention_heads * head_dim]
  Activation k = {};          // [rows, num_key_value_heads * head_dim]
  Activation v = {};          // [rows, num_key_value_heads * head_dim]
  Activation attention = {};  // [rows, num_attention_heads * head_dim]
  Activation gate = {};       // [rows, intermediate_size]
  Activation up = {};         // [rows, intermediate_size]
  Activation last = {};       // [logits_rows, hidden_size]
  Activation logits = {};     // [logits_rows, vocab_size]

  struct Output {
    const Linear& linear;
    Activation out;  // [rows of x, out_features]
  };
  /// Up to three projections of the same x, with what the rows' adapters add.
  void linear(Activation x, std::initializer_list<Output> outputs) const;
};

/// A step's activations in a backend's memory, kept between steps and grown when a step needs more.
class Workspace {
 public:
  /// Points the activations of `step` at memory for its rows. kLimit when there is not enough.
  Result<void> prepare(const ModelConfig& config, Step& step);

 private:
  std::unique_ptr<Buffer> layers_;  // all but the logits
  std::unique_ptr<Buffer> logits_;
};

}  // namespace bobby
