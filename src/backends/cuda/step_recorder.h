#pragma once

// The operations of a step, noted as they are called and looked at together at its end.

#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "backends/backend.h"
#include "backends/cuda/step_program.h"

namespace bobby::cuda {

/// One operation of the seam. No pointer to the caller's memory; what is not used is zero.
struct StepOp {
  enum Kind : std::int64_t {
    kEmbed,
    kRmsNorm,
    kLinear,
    kRopeAndStore,
    kAttention,
    kSwiglu,
    kAdd,
    kSelectRows
  };
  Kind kind;
  std::int64_t count;          // projections; tokens; rows selected
  Activation in[3];            // what it reads
  Activation out[kMatrices];   // what it writes
  const Weight* weight[3];     // projections; norm; table; q_norm, k_norm, inv_freq
  std::uint64_t weight_id[3];  // two weights at one address, one after the other, differ here
  const Weight* bias[kMatrices];
  KvStorage* kv;
  std::uint64_t kv_id;
  std::int64_t layer;
  double number;  // eps or scale
};

/// LoRA of a projection of an operation.
struct StepLora {
  std::int64_t op;
  std::int64_t projection;
  LoraRows rows;
  std::uint64_t id;

  bool operator==(const StepLora& other) const {
    return op == other.op && projection == other.projection && id == other.id &&
           rows.row_begin == other.rows.row_begin && rows.row_count == other.rows.row_count &&
           rows.scale == other.rows.scale;
  }
};

/// Compares as it notes: a step is nearly always that of the last time, or of the time before.
class StepRecorder {
 public:
  /// Whether the operation was noted. Once one was not, the caller does what was noted, then it.
  bool embed(const Weight& table, std::span<const std::int32_t> tokens,
             std::span<const LoraRows> lora, Activation out);
  bool rms_norm(Activation x, const Weight& weight, float eps, Activation out);
  bool linear(Activation x, std::span<const Projection> projections);
  bool rope_and_store(const RopeStore& args);
  bool attention(const Attention& args);
  bool swiglu(Activation gate, Activation up, Activation out);
  bool add(Activation x, Activation y);
  bool select_rows(Activation x, std::span<const std::int32_t> rows, Activation out);

  bool empty() const { return count_ == 0; }
  /// A head has been noted: nothing more belongs to the step.
  bool complete() const { return complete_; }
  void clear();

  std::span<const StepOp> ops() const { return std::span(list_.ops).first(count_); }
  /// The same number for the same operations, byte by byte; 0: not known.
  std::uint64_t form() const { return count_ == list_.ops.size() ? list_.form : 0; }
  std::span<const StepLora> loras() const { return loras_; }
  std::span<const std::int32_t> tokens() const { return tokens_; }
  std::span<const std::int32_t> selected() const { return selected_; }
  /// As they were given, over block tables of this recorder.
  std::span<const SequenceRows> sequences() const { return sequences_; }

  /// Does the noted operations one by one on `backend`, and forgets them.
  template <typename Engine>
  void replay(Engine& engine);

 private:
  /// A step's operations. What they are changes the number.
  struct List {
    std::vector<StepOp> ops;
    std::uint64_t form = 0;
  };
  /// An operation to be filled and then kept; null when it does not belong to the step.
  StepOp* next(StepOp::Kind kind);
  void keep();
  bool place(std::span<const SequenceRows> sequences);
  void note_lora(std::int64_t projection, std::span<const LoraRows> lora);

  StepOp next_;
  List list_, before_;     // the last two forms
  std::size_t count_ = 0;  // operations of list_ that this step has had
  std::uint64_t forms_ = 0;
  std::vector<StepLora> loras_;
  std::vector<std::int32_t> tokens_, selected_, blocks_;
  std::vector<SequenceRows> sequences_;
  const SequenceRows* given_ = nullptr;  // the caller's, as the first such operation had them
  bool complete_ = false;
  bool selects_ = false;  // select_rows() has been noted
};

template <typename Engine>
void StepRecorder::replay(Engine& engine) {
  const std::size_t count = std::exchange(count_, 0);  // nothing is noted meanwhile
  std::size_t lora = 0;
  std::vector<LoraRows> rows[kMatrices];
  for (std::size_t i = 0; i < count; ++i) {
    const StepOp& op = list_.ops[i];
    for (auto& of_projection : rows) of_projection.clear();
    for (; lora < loras_.size() && loras_[lora].op == static_cast<std::int64_t>(i); ++lora)
      rows[loras_[lora].projection].push_back(loras_[lora].rows);
    engine.run(op, rows);
  }
  clear();
}

}  // namespace bobby::cuda
