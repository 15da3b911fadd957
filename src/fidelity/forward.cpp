#include "fidelity/forward.h"

#include <cmath>

namespace bobby::fidelity {

using enum BlockProjection;

namespace {

/// Hands out rows of one buffer; without a base it only counts.
struct Carver {
  float* base = nullptr;
  std::int64_t rows = 0;
  std::int64_t used = 0;

  Activation take(std::int64_t cols) {
    constexpr std::int64_t kLine = 16;
    const Activation taken{base ? base + used : nullptr, rows, cols};
    used += (rows * cols + kLine - 1) / kLine * kLine;
    return taken;
  }
};

}  // namespace

Result<void> Forward::prepare(std::span<const TrainingSequence> sequences, std::int64_t rows) {
  sequences_ = sequences;
  const ModelConfig& config = base_.config;
  const std::int64_t q_size = config.num_attention_heads * config.head_dim;
  const std::int64_t kv_size = config.num_key_value_heads * config.head_dim;
  const auto lay_out = [&](Carver carver) {
    hidden_ = carver.take(config.hidden_size);
    q_projected_ = carver.take(q_size);
    k_projected_ = carver.take(kv_size);
    q_ = carver.take(q_size);
    k_ = carver.take(kv_size);
    v_ = carver.take(kv_size);
    attention_ = carver.take(q_size);
    gate_ = carver.take(config.intermediate_size);
    up_ = carver.take(config.intermediate_size);
    product_ = carver.take(config.intermediate_size);
    for (std::size_t i = 0; i < kBlockProjections; ++i) {
      low_[i] = carver.take(rank_);
      if (dora_) unscaled_[i] = carver.take(base_.blocks.front().projections[i].weight->rows());
    }
    return carver.used;
  };
  memory_.reset();
  const std::int64_t floats = lay_out({.rows = rows});
  BOBBY_TRY(memory_, backend_.allocate(static_cast<std::size_t>(floats) * sizeof(float)));
  lay_out({.base = static_cast<float*>(memory_->data()), .rows = rows});
  return {};
}

TrainingProjection Forward::projection(std::size_t block, BlockProjection which,
                                       const UsedModules& modules, Activation out) const {
  const auto index = static_cast<std::size_t>(which);
  TrainingProjection projection{.weight = modules[index].weight,
                                .bias = base_.blocks[block][which].bias,
                                .lora = modules[index].lora,
                                .out = out};
  if (projection.lora == nullptr) return projection;
  projection.low = {low_[index].data, out.rows, projection.lora->a.rows};
  projection.unscaled = unscaled_[index];
  return projection;
}

/// x += o_proj(attention(rope(q_proj(h)), rope(k_proj(h)), v_proj(h))), h = input_layernorm(x)
void Forward::attention(std::size_t block, const UsedModules& modules, Activation x) const {
  const BlockWeights& weights = base_.blocks[block];
  const ModelConfig& config = base_.config;
  ops_.rms_norm(x, *weights.input_layernorm, config.rms_norm_eps, hidden_);
  const std::array inputs = {projection(block, kQ, modules, q_projected_),
                             projection(block, kK, modules, k_projected_),
                             projection(block, kV, modules, v_)};
  ops_.linear(hidden_, inputs, sequences_);
  ops_.rope({.q_projected = q_projected_,
             .k_projected = k_projected_,
             .q = q_,
             .k = k_,
             .q_norm = weights.q_norm,
             .k_norm = weights.k_norm,
             .rms_norm_eps = config.rms_norm_eps,
             .inv_freq = base_.inv_freq,
             .sequences = sequences_});
  ops_.attention({.q = q_,
                  .k = k_,
                  .v = v_,
                  .out = attention_,
                  .head_dim = config.head_dim,
                  .scale = 1.0f / std::sqrt(static_cast<float>(config.head_dim)),
                  .sequences = sequences_});
  const std::array output = {projection(block, kO, modules, hidden_)};
  ops_.linear(attention_, output, sequences_);
  ops_.add(x, hidden_, x);
}

/// x += down_proj(silu(gate_proj(h)) * up_proj(h)), h = post_attention_layernorm(x)
void Forward::mlp(std::size_t block, const UsedModules& modules, Activation x) const {
  const BlockWeights& weights = base_.blocks[block];
  ops_.rms_norm(x, *weights.post_attention_layernorm, base_.config.rms_norm_eps, hidden_);
  const std::array inputs = {projection(block, kGate, modules, gate_),
                             projection(block, kUp, modules, up_)};
  ops_.linear(hidden_, inputs, sequences_);
  ops_.swiglu(gate_, up_, product_);
  const std::array output = {projection(block, kDown, modules, hidden_)};
  ops_.linear(product_, output, sequences_);
  ops_.add(x, hidden_, x);
}

void Forward::block(std::size_t block, const UsedModules& modules, Activation x) const {
  attention(block, modules, x);
  mlp(block, modules, x);
}

void Forward::head(const UsedModule& module, Activation x, Activation logits) const {
  const Activation normed = hidden_.slice(0, x.rows);
  ops_.rms_norm(x, *base_.norm, base_.config.rms_norm_eps, normed);
  TrainingProjection projection{
      .weight = module.weight, .bias = base_.lm_head.bias, .lora = module.lora, .out = logits};
  const std::array<TrainingSequence, 1> rows = {{{0, x.rows, 0}}};
  if (module.lora != nullptr) projection.low = {low_[0].data, x.rows, module.lora->a.rows};
  ops_.linear(normed, std::span(&projection, 1), rows);
}

}  // namespace bobby::fidelity
