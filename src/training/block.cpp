// A pre-norm transformer block over the operations of training:
//   x_middle = x + o_proj(attention(rope(q_proj(h)), rope(k_proj(h)), v_proj(h))), h = norm(x)
//   next x   = x_middle + down_proj(silu(gate_proj(h)) * up_proj(h)),              h =
//   norm(x_middle)
// The norms' results, the rotated q and k and the product of the MLP are cheap: the backward
// computes them again.

#include "training/block.h"

#include <array>
#include <cmath>

namespace bobby {

using enum BlockProjection;

TrainingProjection BlockRun::projection(BlockProjection which, Activation out,
                                        Activation out_gradient) const {
  const auto index = static_cast<std::size_t>(which);
  const Linear& linear = frozen()[which];
  return {.weight = linear.weight,
          .bias = linear.bias,
          .lora = pairs.find(block, which),
          .out = out,
          .out_gradient = out_gradient,
          .low = kept().low[index],
          .unscaled = kept().unscaled[index]};
}

TrainingRope BlockRun::rope() const {
  return {.q_projected = kept().q_projected,
          .k_projected = kept().k_projected,
          .q = memory.passing().q,
          .k = memory.passing().k,
          .q_norm = frozen().q_norm,
          .k_norm = frozen().k_norm,
          .rms_norm_eps = eps(),
          .inv_freq = weights.inv_freq,
          .sequences = sequences};
}

TrainingAttention BlockRun::attention() const {
  const std::int64_t head_dim = weights.config.head_dim;
  return {.q = memory.passing().q,
          .k = memory.passing().k,
          .v = kept().v,
          .out = kept().attention,
          .head_dim = head_dim,
          .scale = 1.0f / std::sqrt(static_cast<float>(head_dim)),
          .sequences = sequences};
}

void BlockRun::attention_forward() const {
  const PassingMemory& passing = memory.passing();
  ops.rms_norm(kept().x, *frozen().input_layernorm, eps(), passing.hidden);
  const std::array projections = {projection(kQ, kept().q_projected),
                                  projection(kK, kept().k_projected), projection(kV, kept().v)};
  ops.linear(passing.hidden, projections, sequences);
  ops.rope(rope());
  ops.attention(attention());
  const std::array output = {projection(kO, passing.hidden)};
  ops.linear(kept().attention, output, sequences);
  ops.add(kept().x, passing.hidden, kept().x_middle);
}

void BlockRun::mlp_forward() const {
  const PassingMemory& passing = memory.passing();
  ops.rms_norm(kept().x_middle, *frozen().post_attention_layernorm, eps(), passing.hidden);
  const std::array projections = {projection(kGate, kept().gate), projection(kUp, kept().up)};
  ops.linear(passing.hidden, projections, sequences);
}

void BlockRun::forward_to_keep() const {
  attention_forward();
  mlp_forward();
  // What is left of down_proj is its pair's share: `low`, and the whole product under DoRA.
  if (!pairs.find(block, kDown)) return;
  const PassingMemory& passing = memory.passing();
  ops.swiglu(kept().gate, kept().up, passing.product);
  const std::array output = {projection(kDown, passing.hidden)};
  ops.linear(passing.product, output, sequences);
}

void BlockRun::forward() const {
  const PassingMemory& passing = memory.passing();
  attention_forward();
  mlp_forward();
  ops.swiglu(kept().gate, kept().up, passing.product);
  const std::array output = {projection(kDown, passing.hidden)};
  ops.linear(passing.product, output, sequences);
  ops.add(kept().x_middle, passing.hidden, memory.x(block + 1));
}

/// x_gradient for a projection that ends in the residual stream: a copy where DoRA overwrites it.
Activation BlockRun::gradient_of(BlockProjection which) const {
  const PassingMemory& passing = memory.passing();
  const TrainingLora* lora = pairs.find(block, which);
  if (!lora || !lora->multiplier.data) return passing.x_gradient;
  ops.copy(passing.x_gradient, passing.hidden_gradient);
  return passing.hidden_gradient;
}

void BlockRun::mlp_backward() const {
  const PassingMemory& passing = memory.passing();
  if (pairs.find(block, kDown)) ops.swiglu(kept().gate, kept().up, passing.product);
  const std::array output = {projection(kDown, {}, gradient_of(kDown))};
  ops.linear_backward(passing.product, output, sequences, passing.up_gradient);
  ops.swiglu_backward(kept().gate, kept().up, passing.up_gradient, passing.gate_gradient,
                      passing.up_gradient);
  if (pairs.any(block, {kGate, kUp}))
    ops.rms_norm(kept().x_middle, *frozen().post_attention_layernorm, eps(), passing.hidden);
  const std::array projections = {projection(kGate, {}, passing.gate_gradient),
                                  projection(kUp, {}, passing.up_gradient)};
  ops.linear_backward(passing.hidden, projections, sequences, passing.hidden_gradient);
  ops.rms_norm_backward(kept().x_middle, *frozen().post_attention_layernorm, eps(),
                        passing.hidden_gradient, passing.x_gradient);
}

void BlockRun::attention_backward(bool input_needed) const {
  const PassingMemory& passing = memory.passing();
  const bool inner = input_needed || pairs.any(block, {kQ, kK, kV});
  if (!inner && !pairs.find(block, kO)) return;
  const std::array output = {projection(kO, {}, gradient_of(kO))};
  ops.linear_backward(kept().attention, output, sequences,
                      inner ? passing.attention_gradient : Activation{});
  if (!inner) return;

  TrainingRope rotation = rope();
  ops.rope(rotation);
  ops.attention_backward(attention(), {.out = passing.attention_gradient,
                                       .q = passing.q_gradient,
                                       .k = passing.k_gradient,
                                       .v = passing.v_gradient});
  rotation.q = passing.q_gradient;
  rotation.k = passing.k_gradient;
  ops.rope_backward(rotation, passing.q_gradient, passing.k_gradient);
  if (pairs.any(block, {kQ, kK, kV}))
    ops.rms_norm(kept().x, *frozen().input_layernorm, eps(), passing.hidden);
  const std::array projections = {projection(kQ, {}, passing.q_gradient),
                                  projection(kK, {}, passing.k_gradient),
                                  projection(kV, {}, passing.v_gradient)};
  ops.linear_backward(passing.hidden, projections, sequences,
                      input_needed ? passing.hidden_gradient : Activation{});
  if (input_needed)
    ops.rms_norm_backward(kept().x, *frozen().input_layernorm, eps(), passing.hidden_gradient,
                          passing.x_gradient);
}

void BlockRun::backward(bool input_needed) const {
  mlp_backward();
  attention_backward(input_needed);
}

}  // namespace bobby
