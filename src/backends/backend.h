#pragma once

// The seam between a model and a machine: about a dozen coarse operations that a forward is written
// in, once, and that each backend implements. Model names and config never cross it.
//
// What every backend promises:
//  - Activations are fp32 everywhere: residual stream, norms, what passes between operations.
//  - A row's result depends on that row's inputs alone: not on the other rows of the step, nor on
//    their number, nor on the number of threads, bit for bit. Posts are the same alone or in
//    company. The exceptions: how many rows its own sequence has in the step, see begin_step(); and
//    MLX, which picks its kernels by the number of rows (docs/adr/0027).
//  - Operations run in the order they are called. On a device they are enqueued; sync() waits.
//  - Arguments that break a stated shape are bugs of the caller: they abort in debug builds.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "backends/kv_storage.h"
#include "backends/top_logits.h"
#include "base/result.h"
#include "tensor/weight_view.h"

namespace bobby {

/// fp32 [rows, cols] in a backend's memory, row-major and contiguous. Not owned.
struct Activation {
  float* data = nullptr;
  std::int64_t rows = 0;
  std::int64_t cols = 0;

  /// Rows [begin, begin + count).
  Activation slice(std::int64_t begin, std::int64_t count) const {
    return {data + begin * cols, count, cols};
  }
};

/// Memory of a backend: 64-byte aligned, zeroed when allocated.
class Buffer {
 public:
  virtual ~Buffer() = default;
  virtual void* data() const = 0;
  virtual std::size_t size() const = 0;
};

/// A weight as a backend holds it. On the CPU that is the mapped file itself, so the memory behind
/// the WeightView must outlive it.
class Weight {
 public:
  explicit Weight(WeightView view) : view_(std::move(view)) {}
  virtual ~Weight() = default;
  const WeightView& view() const { return view_; }
  std::int64_t rows() const { return view_.rows; }
  std::int64_t cols() const { return view_.cols; }

 private:
  WeightView view_;
};

/// One low-rank pair in full precision, in the layout that every backend takes: A transposed to
/// rows of the input, B to rows of the output, whatever the file held. Must outlive its LoraWeight.
struct LoraView {
  std::string name;  ///< module path, for messages
  std::int64_t rank = 0;
  std::int64_t in_features = 0;  ///< for an embedding: vocab_size
  std::int64_t out_features = 0;
  const float* a = nullptr;  ///< [rank, in_features]
  const float* b = nullptr;  ///< [out_features, rank]
  /// DoRA: magnitude / row norm of the adapted weight, [out_features], made for one scale; null for
  /// plain LoRA. The delta is then (multiplier - 1) * y + multiplier * scale * B(Ax).
  const float* output_multiplier = nullptr;
};

/// A low-rank pair as a backend holds it.
class LoraWeight {
 public:
  explicit LoraWeight(LoraView view) : view_(std::move(view)) {}
  virtual ~LoraWeight() = default;
  const LoraView& view() const { return view_; }

 private:
  LoraView view_;
};

/// Rows [row_begin, row_begin + row_count) of a step get scale * B(Ax) of `lora` added. A row may
/// stand in several of these: its deltas are summed, in the order given. Rows in none cost nothing.
struct LoraRows {
  std::int64_t row_begin = 0;
  std::int64_t row_count = 0;
  const LoraWeight* lora = nullptr;
  float scale = 1.0f;
};

/// One output of linear(): out = x W^T (+ bias) (+ LoRA). Projections that share their input are
/// passed together (q|k|v, gate|up), so that a backend can run them as one pass.
struct Projection {
  const Weight* weight = nullptr;  ///< [out_features, in_features]
  const Weight* bias = nullptr;    ///< dense [1, out_features], or null
  std::span<const LoraRows> lora = {};
  Activation out;  ///< [rows of x, out_features]
};

/// Consecutive rows of a step that belong to one sequence: tokens at positions
/// position .. position + row_count - 1. Position p is kept in blocks[p / block_tokens].
struct SequenceRows {
  std::int64_t row_begin = 0;
  std::int64_t row_count = 0;
  std::int64_t position = 0;             ///< tokens of this sequence that the cache already holds
  std::span<const std::int32_t> blocks;  ///< host memory; covers position + row_count tokens
};

/// Arguments of rope_and_store(): normalise and rotate q and k in place, put k and v into the
/// cache.
struct RopeStore {
  Activation q;                    ///< [rows, num_attention_heads * head_dim], changed in place
  Activation k;                    ///< [rows, num_key_value_heads * head_dim], changed in place
  Activation v;                    ///< [rows, num_key_value_heads * head_dim]
  const Weight* q_norm = nullptr;  ///< dense [1, head_dim], RMSNorm over each head; null: none
  const Weight* k_norm = nullptr;
  float rms_norm_eps = 0.0f;
  const Weight* inv_freq = nullptr;  ///< dense f32 [1, head_dim / 2]; pairs are (i, i + head_dim/2)
  std::span<const SequenceRows> sequences;
  KvStorage* kv = nullptr;
  std::int64_t layer = 0;
};

/// Arguments of attention(): causal softmax(q k^T * scale) v over the cache, grouped-query.
/// Row r of a sequence sees positions 0 .. position + r, which rope_and_store() has put there.
struct Attention {
  Activation q;    ///< [rows, num_attention_heads * head_dim]
  Activation out;  ///< [rows, num_attention_heads * head_dim]
  float scale = 0.0f;
  std::span<const SequenceRows> sequences;
  const KvStorage* kv = nullptr;
  std::int64_t layer = 0;
};

class TrainingOps;  // backends/training_ops.h

class Backend {
 public:
  virtual ~Backend() = default;

  /// "reference", "cpu", ...
  virtual std::string_view name() const = 0;
  /// One line for -v and bench: "cpu: avx512-vnni kernels, 2 threads, q15 activations".
  virtual std::string description() const = 0;

  // Memory and weights.

  /// Whether linear() (and embed()) take this format. There is no silent fallback: kUnsupported
  /// names the format.
  virtual Result<void> supports(const WeightFormat& format) const = 0;
  virtual Result<std::unique_ptr<Buffer>> allocate(std::size_t bytes) = 0;
  virtual Result<std::unique_ptr<Weight>> load_weight(const WeightView& view) = 0;
  virtual Result<std::unique_ptr<LoraWeight>> load_lora(const LoraView& view) = 0;
  virtual Result<std::unique_ptr<KvStorage>> allocate_kv(const KvShape& shape) = 0;

  /// What the operations until the next call are about: the sequences of a step, in the order of
  /// its rows. A hint; without it every row is one of decode. A device may compute the rows of a
  /// long stretch of one sequence (a prompt) otherwise than the rows of a short one, to the same
  /// error, so that a row's result depends on its own sequence's rows in the step, and on nothing
  /// else.
  virtual void begin_step(std::span<const SequenceRows> /*sequences*/) {}
  /// Whether begin_step() makes that difference: then a prompt has the same bits again only when it
  /// is cut the same way again.
  virtual bool bits_follow_chunks() const { return false; }

  // Operations. Token ids, row numbers and block tables are host memory.

  /// out[i] = row tokens[i] of `table`, dequantised (+ LoRA). out: [tokens.size(), hidden_size].
  virtual void embed(const Weight& table, std::span<const std::int32_t> tokens,
                     std::span<const LoraRows> lora, Activation out) = 0;
  /// out = x / sqrt(mean(x^2) + eps) * weight, row by row. `out` may be `x`.
  virtual void rms_norm(Activation x, const Weight& weight, float eps, Activation out) = 0;
  /// Every projection of the same x: [rows, in_features]. No `out` may overlap x or another.
  virtual void linear(Activation x, std::span<const Projection> projections) = 0;
  virtual void rope_and_store(const RopeStore& args) = 0;
  virtual void attention(const Attention& args) = 0;
  /// Block `to` becomes what block `from` is, in every layer.
  virtual void copy_kv_block(KvStorage& kv, std::int32_t from, std::int32_t to) = 0;
  /// Block `block` to host memory and back, KvShape::block_bytes() in one layout for all backends:
  /// [layers, key or value, heads], each of head_block_bytes(). Both wait.
  virtual Result<void> read_kv_block(const KvStorage& kv, std::int32_t block,
                                     std::span<std::byte> host) = 0;
  virtual Result<void> write_kv_block(KvStorage& kv, std::int32_t block,
                                      std::span<const std::byte> host) = 0;
  /// out = silu(gate) * up, elementwise. `out` may be `gate`.
  virtual void swiglu(Activation gate, Activation up, Activation out) = 0;
  /// x += y, elementwise.
  virtual void add(Activation x, Activation y) = 0;
  /// out[i] = x[rows[i]].
  virtual void select_rows(Activation x, std::span<const std::int32_t> rows, Activation out) = 0;

  /// Copies x to host memory; waits for it.
  virtual Result<void> copy_out(Activation x, std::span<float> host) = 0;
  /// Enough of each row of logits to draw a token from it, valid until the next call; waits for it.
  /// Empty where that saves nothing, as in host memory: copy_out() then.
  virtual Result<std::span<const TopLogits>> top_logits(Activation /*logits*/) {
    return std::span<const TopLogits>();
  }
  /// Bytes that allocate() could still give; 0: not known, or the host's own.
  virtual std::size_t memory_left() { return 0; }
  /// GB/s at which this backend's memory is read, measured now; 0 where that is the host's own.
  virtual Result<double> read_bandwidth() { return 0.0; }
  /// The operations of training here, owned by the backend; null where it cannot train.
  virtual TrainingOps* training() { return nullptr; }
  /// Waits for everything enqueued and reports what went wrong on the device since the last sync.
  virtual Result<void> sync() = 0;
};

}  // namespace bobby
