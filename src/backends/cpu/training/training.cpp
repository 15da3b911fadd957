#include "backends/cpu/training/training.h"

#include <algorithm>
#include <cassert>
#include <vector>

#include "backends/cpu/training/attention.h"
#include "backends/cpu/training/cross_entropy.h"
#include "backends/cpu/training/kernels.h"
#include "backends/cpu/training/linear.h"
#include "backends/cpu/training/machine.h"
#include "backends/cpu/training/rope.h"
#include "backends/cpu/training/row_ops.h"
#include "backends/cpu/weight.h"

namespace bobby::cpu {
namespace {

const TrainingKernels<float>& kernels_for(CpuIsa isa) {
#if defined(__x86_64__)
  if (isa == CpuIsa::kAvx2) return kAvx2Training;
  if (isa == CpuIsa::kAvx512 || isa == CpuIsa::kAvx512Vnni || isa == CpuIsa::kAmx)
    return kAvx512Training;
#elif defined(__aarch64__)
  if (isa != CpuIsa::kPortable) return kNeonTraining;
#endif
  return kPortableTraining;
}

const float* vector_or_null(const Weight* weight) {
  return weight ? vector_of(*weight).data() : nullptr;
}

LoraPair<float> pair_of(const TrainingLora& lora) {
  return {.a = matrix_of(lora.a),
          .b = matrix_of(lora.b),
          .multiplier = matrix_of(lora.multiplier),
          .a_gradient = matrix_of(lora.a_gradient),
          .b_gradient = matrix_of(lora.b_gradient),
          .multiplier_gradient = matrix_of(lora.multiplier_gradient),
          .scale = lora.scale,
          .dropout = lora.dropout};
}

/// Projections in this folder's words. What `outputs` points to lives as long.
struct Outputs {
  explicit Outputs(std::span<const TrainingProjection> projections) {
    pairs.reserve(projections.size());
    for (const TrainingProjection& projection : projections) {
      const LoraPair<float>* pair =
          projection.lora ? &pairs.emplace_back(pair_of(*projection.lora)) : nullptr;
      outputs.push_back({.weight = &projection.weight->view(),
                         .bias = vector_or_null(projection.bias),
                         .lora = pair,
                         .out = matrix_of(projection.out),
                         .out_gradient = matrix_of(projection.out_gradient),
                         .low = matrix_of(projection.low),
                         .unscaled = matrix_of(projection.unscaled)});
    }
  }
  std::span<const LinearOutput<float>> span() const { return outputs; }

  std::vector<LoraPair<float>> pairs;
  std::vector<LinearOutput<float>> outputs;
};

RopeArgs<float> rope_args(Activation projected, Activation rotated, const Weight* norm,
                          const TrainingRope& args) {
  return {.projected = matrix_of(projected),
          .rotated = matrix_of(rotated),
          .norm = vector_or_null(norm),
          .eps = args.rms_norm_eps,
          .inv_freq = vector_of(*args.inv_freq),
          .sequences = args.sequences};
}

AttentionArgs<float> attention_args(const TrainingAttention& args) {
  return {.q = matrix_of(args.q),
          .k = matrix_of(args.k),
          .v = matrix_of(args.v),
          .out = matrix_of(args.out),
          .head_dim = args.head_dim,
          .scale = args.scale,
          .sequences = args.sequences};
}

class CpuTrainingOps final : public TrainingOps {
 public:
  CpuTrainingOps(CpuIsa isa, ThreadPool& pool) : machine_(kernels_for(isa), pool) {}

  Result<void> copy_in(std::span<const float> host, Activation to) override {
    assert(static_cast<std::int64_t>(host.size()) == to.rows * to.cols);
    std::copy(host.begin(), host.end(), to.data);
    return {};
  }
  Result<void> copy_out(Activation from, std::span<float> host) override {
    assert(static_cast<std::int64_t>(host.size()) == from.rows * from.cols);
    std::copy_n(from.data, host.size(), host.data());
    return {};
  }
  void zero(Activation x) override { std::fill_n(x.data, x.rows * x.cols, 0.0f); }
  void copy(Activation from, Activation to) override {
    assert(from.rows == to.rows && from.cols == to.cols);
    std::copy_n(from.data, from.rows * from.cols, to.data);
  }
  void add(Activation x, Activation y, Activation out) override {
    cpu::add(machine_, matrix_of(x), matrix_of(y), matrix_of(out));
  }

  void embed(const Weight& table, std::span<const std::int32_t> tokens, Activation out) override {
    cpu::embed(machine_, table.view(), tokens, matrix_of(out));
  }

  void rms_norm(Activation x, const Weight& weight, float eps, Activation out) override {
    cpu::rms_norm(machine_, matrix_of(x), vector_of(weight).data(), eps, matrix_of(out));
  }
  void rms_norm_backward(Activation x, const Weight& weight, float eps, Activation out_gradient,
                         Activation x_gradient) override {
    cpu::rms_norm_backward(machine_, matrix_of(x), vector_of(weight).data(), eps,
                           matrix_of(out_gradient), matrix_of(x_gradient));
  }

  void linear(Activation x, std::span<const TrainingProjection> projections,
              std::span<const TrainingSequence> sequences) override {
    cpu::linear(machine_, matrix_of(x), Outputs(projections).span(), sequences);
  }
  void linear_backward(Activation x, std::span<const TrainingProjection> projections,
                       std::span<const TrainingSequence> sequences,
                       Activation x_gradient) override {
    cpu::linear_backward(machine_, matrix_of(x), Outputs(projections).span(), sequences,
                         matrix_of(x_gradient));
  }
  void row_norms(const Weight& weight, const TrainingLora* lora, Activation norms) override {
    if (!lora) return cpu::row_norms<float>(machine_, weight.view(), nullptr, norms.data);
    const LoraPair<float> pair = pair_of(*lora);
    cpu::row_norms(machine_, weight.view(), &pair, norms.data);
  }

  void rope(const TrainingRope& args) override {
    cpu::rope(machine_, rope_args(args.q_projected, args.q, args.q_norm, args));
    cpu::rope(machine_, rope_args(args.k_projected, args.k, args.k_norm, args));
  }
  void rope_backward(const TrainingRope& args, Activation q_projected_gradient,
                     Activation k_projected_gradient) override {
    cpu::rope_backward(machine_, rope_args(args.q_projected, args.q, args.q_norm, args),
                       matrix_of(q_projected_gradient));
    cpu::rope_backward(machine_, rope_args(args.k_projected, args.k, args.k_norm, args),
                       matrix_of(k_projected_gradient));
  }

  void attention(const TrainingAttention& args) override {
    cpu::attention(machine_, attention_args(args));
  }
  void attention_backward(const TrainingAttention& args,
                          const TrainingAttentionGradient& gradient) override {
    cpu::attention_backward(machine_, attention_args(args),
                            AttentionGradient<float>{.out = matrix_of(gradient.out),
                                                     .q = matrix_of(gradient.q),
                                                     .k = matrix_of(gradient.k),
                                                     .v = matrix_of(gradient.v)});
  }

  void swiglu(Activation gate, Activation up, Activation out) override {
    cpu::swiglu(machine_, matrix_of(gate), matrix_of(up), matrix_of(out));
  }
  void swiglu_backward(Activation gate, Activation up, Activation out_gradient,
                       Activation gate_gradient, Activation up_gradient) override {
    cpu::swiglu_backward(machine_, matrix_of(gate), matrix_of(up), matrix_of(out_gradient),
                         matrix_of(gate_gradient), matrix_of(up_gradient));
  }

  Result<void> cross_entropy(const TrainingCrossEntropy& args) override {
    cpu::cross_entropy(machine_, CrossEntropyArgs<float>{.x = matrix_of(args.x),
                                                         .head = &args.head->view(),
                                                         .targets = args.targets,
                                                         .weights = args.weights,
                                                         .row_loss = args.row_loss,
                                                         .x_gradient = matrix_of(args.x_gradient)});
    return {};
  }

  std::size_t scratch_bytes(std::int64_t rows, std::int64_t longest,
                            const Weight& head) const override {
    const std::int64_t row_bytes = head.rows() * static_cast<std::int64_t>(sizeof(float));
    const std::int64_t logits = std::min(rows * row_bytes, std::max(kLogitsBytes, 12 * row_bytes));
    // Of a thread: keys, values and the scores of 60 queries twice, or a panel of a product.
    const std::int64_t attention = longest * (2 * 128 + 2 * 60) * 4;
    const std::int64_t panel = kPanelCols * (kDepthBlock + 128) * 4;
    const std::int64_t threads = machine_.pool.threads() * std::max(attention, panel);
    return static_cast<std::size_t>(logits + threads + rows * head.cols() * 4);
  }

 private:
  TrainingMachine<float> machine_;
};

}  // namespace

std::unique_ptr<TrainingOps> make_training_ops(CpuIsa isa, ThreadPool& pool) {
  return std::make_unique<CpuTrainingOps>(isa, pool);
}

}  // namespace bobby::cpu
