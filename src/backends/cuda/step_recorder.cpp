#include "backends/cuda/step_recorder.h"

#include <algorithm>
#include <cstring>

#include "backends/cuda/attention.h"
#include "backends/cuda/weight.h"

namespace bobby::cuda {
namespace {

void set(StepOp& op, int i, const Weight* weight) {
  op.weight[i] = weight;
  op.weight_id[i] = weight ? on_device(*weight).id() : 0;
}

}  // namespace

void StepRecorder::clear() {
  count_ = 0;
  loras_.clear();
  complete_ = selects_ = false;
  given_ = nullptr;
}

StepOp* StepRecorder::next(StepOp::Kind kind) {
  if (complete_ || (count_ == 0 && kind != StepOp::kEmbed)) return nullptr;
  std::memset(static_cast<void*>(&next_), 0, sizeof(StepOp));  // compared byte by byte
  next_.kind = kind;
  return &next_;
}

void StepRecorder::keep() {
  const auto goes_on = [this](const List& list) {
    return count_ < list.ops.size() && std::memcmp(&list.ops[count_], &next_, sizeof(StepOp)) == 0;
  };
  const auto begins_alike = [this](const List& list) {
    return count_ <= list.ops.size() &&
           std::memcmp(list.ops.data(), list_.ops.data(), count_ * sizeof(StepOp)) == 0;
  };
  if (!goes_on(list_)) {
    // Where a list ends or parts from the step: the other one, or a new one.
    if (count_ < list_.ops.size()) {
      std::swap(list_, before_);
      if (!goes_on(list_) || !begins_alike(before_)) {
        list_.ops.assign(before_.ops.begin(),
                         before_.ops.begin() + static_cast<std::ptrdiff_t>(count_));
        list_.form = 0;
      }
    }
    if (count_ == list_.ops.size()) {
      list_.ops.push_back(next_);
      list_.form = ++forms_;
    }
  }
  ++count_;
}

void StepRecorder::note_lora(std::int64_t projection, std::span<const LoraRows> lora) {
  for (const LoraRows& rows : lora)
    if (rows.row_count > 0)
      loras_.push_back({static_cast<std::int64_t>(count_), projection, rows,
                        static_cast<const CudaLora&>(*rows.lora).id()});
}

bool StepRecorder::embed(const Weight& table, std::span<const std::int32_t> tokens,
                         std::span<const LoraRows> lora, Activation out) {
  if (count_ != 0 || tokens.size() > kStepRows || !on_device(table).tiled() || !lora.empty())
    return false;
  StepOp& op = *next(StepOp::kEmbed);
  op.count = static_cast<std::int64_t>(tokens.size());
  op.out[0] = out;
  set(op, 0, &table);
  keep();
  tokens_.assign(tokens.begin(), tokens.end());
  return true;
}

bool StepRecorder::rms_norm(Activation x, const Weight& weight, float eps, Activation out) {
  StepOp* op = next(StepOp::kRmsNorm);
  if (!op) return false;
  op->in[0] = x;
  op->out[0] = out;
  op->number = eps;
  set(*op, 0, &weight);
  keep();
  return true;
}

bool StepRecorder::linear(Activation x, std::span<const Projection> projections) {
  StepOp* op = projections.size() <= kMatrices ? next(StepOp::kLinear) : nullptr;
  if (!op) return false;
  op->in[0] = x;
  op->count = static_cast<std::int64_t>(projections.size());
  for (std::size_t i = 0; i < projections.size(); ++i) {
    op->out[i] = projections[i].out;
    op->bias[i] = projections[i].bias;
    set(*op, static_cast<int>(i), projections[i].weight);
    note_lora(static_cast<std::int64_t>(i), projections[i].lora);
  }
  keep();
  complete_ = count_ > 3 && list_.ops[count_ - 2].kind == StepOp::kRmsNorm &&
              list_.ops[count_ - 3].kind == StepOp::kSelectRows;
  return true;
}

bool StepRecorder::place(std::span<const SequenceRows> sequences) {
  if (given_) return given_ == sequences.data() && sequences_.size() == sequences.size();
  if (sequences.size() > kStepRows) return false;
  given_ = sequences.data();
  std::size_t blocks = 0;
  for (const SequenceRows& sequence : sequences) blocks += sequence.blocks.size();
  blocks_.resize(blocks);
  sequences_.assign(sequences.begin(), sequences.end());
  blocks = 0;
  for (SequenceRows& sequence : sequences_) {
    std::copy(sequence.blocks.begin(), sequence.blocks.end(),
              blocks_.begin() + static_cast<std::ptrdiff_t>(blocks));
    sequence.blocks = std::span(blocks_).subspan(blocks, sequence.blocks.size());
    blocks += sequence.blocks.size();
  }
  return true;
}

bool StepRecorder::rope_and_store(const RopeStore& args) {
  if (count_ == 0 || complete_ || !place(args.sequences)) return false;
  StepOp& op = *next(StepOp::kRopeAndStore);
  op.in[0] = args.q;
  op.in[1] = args.k;
  op.in[2] = args.v;
  set(op, 0, args.q_norm);
  set(op, 1, args.k_norm);
  set(op, 2, args.inv_freq);
  op.number = args.rms_norm_eps;
  op.kv = args.kv;
  op.kv_id = static_cast<const CudaKv&>(*args.kv).id();
  op.layer = args.layer;
  keep();
  return true;
}

bool StepRecorder::attention(const Attention& args) {
  if (count_ == 0 || complete_ || !place(args.sequences)) return false;
  StepOp& op = *next(StepOp::kAttention);
  op.in[0] = args.q;
  op.out[0] = args.out;
  op.number = args.scale;
  op.kv = const_cast<KvStorage*>(args.kv);
  op.kv_id = static_cast<const CudaKv&>(*args.kv).id();
  op.layer = args.layer;
  keep();
  return true;
}

bool StepRecorder::swiglu(Activation gate, Activation up, Activation out) {
  StepOp* op = next(StepOp::kSwiglu);
  if (!op) return false;
  op->in[0] = gate;
  op->in[1] = up;
  op->out[0] = out;
  keep();
  return true;
}

bool StepRecorder::add(Activation x, Activation y) {
  StepOp* op = next(StepOp::kAdd);
  if (!op) return false;
  op->out[0] = x;
  op->in[0] = y;
  keep();
  return true;
}

bool StepRecorder::select_rows(Activation x, std::span<const std::int32_t> rows, Activation out) {
  StepOp* op = selects_ ? nullptr : next(StepOp::kSelectRows);
  if (!op) return false;
  selects_ = true;
  op->in[0] = x;
  op->out[0] = out;
  op->count = static_cast<std::int64_t>(rows.size());
  keep();
  selected_.assign(rows.begin(), rows.end());
  return true;
}

}  // namespace bobby::cuda
