#include "backends/cuda/training/training.h"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <fmt/format.h>

#include "backends/cuda/launch.cuh"
#include "backends/cuda/training/attention.h"
#include "backends/cuda/training/cross_entropy.h"
#include "backends/cuda/training/linear.h"
#include "backends/cuda/training/rounding.h"
#include "backends/cuda/training/row_ops.h"
#include "backends/cuda/weight.h"

namespace bobby::cuda {
namespace {

using Use = TrainingMachine::Use;

int to_int(std::int64_t number) {
  return static_cast<int>(number);
}

std::size_t bytes_of(Activation x) {
  return static_cast<std::size_t>(x.rows * x.cols) * sizeof(float);
}

static_assert(2 * kLargestHalf == kLargestHead);

Result<void> check_head(std::int64_t head_dim) {
  if (head_dim <= kLargestHead) return {};
  return fail({.code = ErrorCode::kUnsupported,
               .where = "training on CUDA",
               .problem = "heads of this size are not supported",
               .expected = fmt::format("at most {}", kLargestHead),
               .found = fmt::format("{}", head_dim)});
}

class Ops final : public CudaTrainingOps {
 public:
  Ops(TrainingHooks hooks, const std::vector<LoadedWeight>& loaded)
      : machine_(std::move(hooks)), loaded_(loaded) {}

  void release_memory() override { machine_.forget_weights(); }

  Result<void> copy_in(std::span<const float> host, Activation to) override {
    assert(static_cast<std::int64_t>(host.size()) == to.rows * to.cols);
    begin_operation();
    BOBBY_CHECK(machine_.take_failure());
    ++launches();
    return machine_.hooks().uploader->upload(host.data(), host.size_bytes(), to.data);
  }
  Result<void> copy_out(Activation from, std::span<float> host) override {
    assert(static_cast<std::int64_t>(host.size()) == from.rows * from.cols);
    begin_operation();
    BOBBY_CHECK(machine_.take_failure());
    BOBBY_CHECK(machine_.hooks().uploader->download(from.data, host.size_bytes(), host.data()));
    return check(cudaGetLastError(), "training");
  }
  void zero(Activation x) override {
    begin_operation();
    ++launches();
    machine_.remember(
        check(cudaMemsetAsync(x.data, 0, bytes_of(x), machine_.stream()), "clearing memory"));
  }
  void copy(Activation from, Activation to) override {
    assert(from.rows == to.rows && from.cols == to.cols);
    begin_operation();
    ++launches();
    machine_.remember(check(cudaMemcpyAsync(to.data, from.data, bytes_of(from),
                                            cudaMemcpyDeviceToDevice, machine_.stream()),
                            "a copy"));
  }
  void add(Activation x, Activation y, Activation out) override {
    assert(x.rows == y.rows && x.cols == y.cols && x.rows == out.rows && x.cols == out.cols);
    begin_operation();
    training_add(x.data, y.data, out.data, x.rows * x.cols, machine_.stream());
  }

  void embed(const Weight& table, std::span<const std::int32_t> tokens, Activation out) override {
    begin_operation();
    machine_.remember(machine_.hooks().embed(table, tokens, out));
  }

  void rms_norm(Activation x, const Weight& weight, float eps, Activation out) override {
    begin_operation();
    training_norm(x.data, vector_of(&weight), eps, out.data, to_int(x.rows), to_int(x.cols),
                  machine_.stream());
  }
  void rms_norm_backward(Activation x, const Weight& weight, float eps, Activation out_gradient,
                         Activation x_gradient) override {
    begin_operation();
    training_norm_backward(x.data, vector_of(&weight), eps, out_gradient.data, x_gradient.data,
                           to_int(x.rows), to_int(x.cols), machine_.stream());
  }

  void linear(Activation x, std::span<const TrainingProjection> projections,
              std::span<const TrainingSequence> sequences) override {
    begin_operation();
    machine_.remember(training_linear(machine_, x, projections, sequences));
  }
  void linear_backward(Activation x, std::span<const TrainingProjection> projections,
                       std::span<const TrainingSequence> sequences,
                       Activation x_gradient) override {
    begin_operation();
    machine_.remember(training_linear_backward(machine_, x, projections, sequences, x_gradient));
  }
  void row_norms(const Weight& weight, const TrainingLora* lora, Activation norms) override {
    begin_operation();
    machine_.remember(training_row_norms(machine_, weight, lora, norms));
  }

  void rope(const TrainingRope& args) override {
    begin_operation();
    machine_.remember(rotate(args, {}, {}));
  }
  void rope_backward(const TrainingRope& args, Activation q_projected_gradient,
                     Activation k_projected_gradient) override {
    begin_operation();
    machine_.remember(rotate(args, q_projected_gradient, k_projected_gradient));
  }

  void attention(const TrainingAttention& args) override {
    begin_operation();
    machine_.remember(attend(args, nullptr));
  }
  void attention_backward(const TrainingAttention& args,
                          const TrainingAttentionGradient& gradient) override {
    begin_operation();
    machine_.remember(attend(args, &gradient));
  }

  void swiglu(Activation gate, Activation up, Activation out) override {
    begin_operation();
    training_swiglu(gate.data, up.data, out.data, gate.rows * gate.cols, machine_.stream());
  }
  void swiglu_backward(Activation gate, Activation up, Activation out_gradient,
                       Activation gate_gradient, Activation up_gradient) override {
    begin_operation();
    training_swiglu_backward(gate.data, up.data, out_gradient.data, gate_gradient.data,
                             up_gradient.data, gate.rows * gate.cols, machine_.stream());
  }

  Result<void> cross_entropy(const TrainingCrossEntropy& args) override {
    begin_operation();
    BOBBY_CHECK(machine_.take_failure());
    return training_cross_entropy(machine_, args);
  }

  std::size_t scratch_bytes(std::int64_t rows, std::int64_t longest,
                            const Weight& head) const override;

 private:
  void begin_operation() { machine_.hooks().finish(); }
  Result<const float*> angles(const Weight& inv_freq, int longest);
  Result<void> rotate(const TrainingRope& args, Activation q_gradient, Activation k_gradient);
  Result<void> attend(const TrainingAttention& args, const TrainingAttentionGradient* gradient);

  TrainingMachine machine_;
  const std::vector<LoadedWeight>& loaded_;
  std::uint64_t angles_of_ = 0;  // a weight's id; 0: none
  int angle_positions_ = 0;
};

/// Cosines and sines of all positions so far.
Result<const float*> Ops::angles(const Weight& inv_freq, int longest) {
  const auto half = static_cast<std::size_t>(inv_freq.cols());
  const std::uint64_t id = on_device(inv_freq).id();
  if (id == angles_of_ && longest <= angle_positions_)
    return machine_.scratch<float>(Use::kAngles, 0);
  const int positions = std::max(longest, id == angles_of_ ? 2 * angle_positions_ : 256);
  angles_of_ = 0;
  BOBBY_TRY(float* made,
            machine_.scratch<float>(Use::kAngles, static_cast<std::size_t>(positions) * 2 * half));
  make_angles(vector_of(&inv_freq), static_cast<int>(half), positions, made, machine_.stream());
  angles_of_ = id;
  angle_positions_ = positions;
  return made;
}

/// The gradients' data null: forward.
Result<void> Ops::rotate(const TrainingRope& args, Activation q_gradient, Activation k_gradient) {
  BOBBY_CHECK(check_head(2 * args.inv_freq->cols()));
  BOBBY_TRY(const SequenceTable table, machine_.table(args.sequences));
  RopeJob job;
  BOBBY_TRY(job.angles, angles(*args.inv_freq, table.longest));
  job.half = to_int(args.inv_freq->cols());
  job.eps = args.rms_norm_eps;
  job.backward = q_gradient.data != nullptr;
  const auto side = [&](Activation projected, Activation rotated, const Weight* norm,
                        Activation gradient) -> RopeSide {
    return {.projected = projected.data,
            .norm = vector_of(norm),
            .rotated_gradient = job.backward ? rotated.data : nullptr,
            .to = job.backward ? gradient.data : rotated.data,
            .heads = to_int(projected.cols) / (2 * job.half)};
  };
  job.sides[0] = side(args.q_projected, args.q, args.q_norm, q_gradient);
  job.sides[1] = side(args.k_projected, args.k, args.k_norm, k_gradient);
  training_rope(job, table, machine_.stream());
  return {};
}

Result<void> Ops::attend(const TrainingAttention& args, const TrainingAttentionGradient* gradient) {
  BOBBY_CHECK(check_head(args.head_dim));
  BOBBY_TRY(const SequenceTable table, machine_.table(args.sequences));
  AttentionJob job{.q = args.q.data,
                   .k = args.k.data,
                   .v = args.v.data,
                   .out = args.out.data,
                   .heads = to_int(args.q.cols / args.head_dim),
                   .kv_heads = to_int(args.k.cols / args.head_dim),
                   .head_dim = to_int(args.head_dim),
                   .scale = args.scale};
  if (!gradient) {
    cuda::attention_forward(job, table, machine_.stream());
    return {};
  }
  const auto statistics = static_cast<std::size_t>(args.q.rows * job.heads);
  BOBBY_TRY(job.normalizers, machine_.scratch<float>(Use::kStatistics, 2 * statistics));
  job.means = job.normalizers + statistics;
  job.out_gradient = gradient->out.data;
  job.q_gradient = gradient->q.data;
  job.k_gradient = gradient->k.data;
  job.v_gradient = gradient->v.data;
  cuda::attention_backward(job, table, machine_.stream());
  return {};
}

/// As if every weight were kept in blocks; without room for that one layer's largest stand in
/// scratch instead.
std::size_t Ops::scratch_bytes(std::int64_t rows, std::int64_t longest, const Weight& head) const {
  constexpr std::int64_t kTypicalRank = 16;
  std::int64_t widest = head.cols();
  std::size_t kept = block_bytes(blocks_of(head.rows()), blocks_of(head.cols()));
  for (const LoadedWeight& weight : loaded_) {
    if (weight.rows <= 1 || weight.rows == head.rows()) continue;
    widest = std::max({widest, weight.rows, weight.cols});
    kept += block_bytes(blocks_of(weight.rows), blocks_of(weight.cols));
  }
  std::size_t left = 0, total = 0;
  if (cudaMemGetInfo(&left, &total) == cudaSuccess)
    kept = std::min(kept, left > total / 4 ? left - total / 4 : 0);
  const std::int64_t chosen = logit_rows(rows, head.rows());
  const std::int64_t chunks = rows / kChunkRows + 1;
  const std::size_t logits = static_cast<std::size_t>(chosen * head.rows()) * sizeof(float) +
                             block_bytes(row_blocks_of(chosen), blocks_of(head.rows())) +
                             static_cast<std::size_t>(chosen * head.cols()) * sizeof(float);
  const std::size_t x = 3 * block_bytes(row_blocks_of(rows), blocks_of(widest));
  const auto parts = static_cast<std::size_t>(2 * chunks * kTypicalRank * widest) * sizeof(float);
  const auto angles = static_cast<std::size_t>(longest) * kLargestHead * sizeof(float);
  return kept + logits + x + parts + angles;
}

}  // namespace

std::unique_ptr<CudaTrainingOps> make_training_ops(TrainingHooks hooks,
                                                   const std::vector<LoadedWeight>& loaded) {
  return std::make_unique<Ops>(std::move(hooks), loaded);
}

}  // namespace bobby::cuda
