// Llama 1-3 and their relatives, SmolLM2 among them (arXiv:2302.13971, arXiv:2407.21783), and
// Qwen2.5 (arXiv:2412.15115), which is the same with biases on q, k and v: a pre-norm transformer
// with grouped-query attention and SwiGLU. Names are the checkpoint's own.

#include <cmath>
#include <string>
#include <vector>

#include "model/forward.h"
#include "model/rope.h"

namespace bobby {

namespace {

struct Layer {
  const Weight* input_layernorm = nullptr;  // [hidden_size]
  struct {
    Linear q_proj;  // [num_attention_heads * head_dim, hidden_size]
    Linear k_proj;  // [num_key_value_heads * head_dim, hidden_size]
    Linear v_proj;  // [num_key_value_heads * head_dim, hidden_size]
    Linear o_proj;  // [hidden_size, num_attention_heads * head_dim]
  } self_attn;
  const Weight* post_attention_layernorm = nullptr;  // [hidden_size]
  struct {
    Linear gate_proj;  // [intermediate_size, hidden_size]
    Linear up_proj;    // [intermediate_size, hidden_size]
    Linear down_proj;  // [hidden_size, intermediate_size]
  } mlp;
};

Layer load_layer(const ModelConfig& config, WeightLoader& weights, const std::string& path) {
  const std::int64_t hidden_size = config.hidden_size;
  const std::int64_t q_size = config.num_attention_heads * config.head_dim;
  const std::int64_t kv_size = config.num_key_value_heads * config.head_dim;
  Layer layer;
  layer.input_layernorm = weights.norm(path + ".input_layernorm", hidden_size);
  layer.self_attn.q_proj =
      weights.linear(path + ".self_attn.q_proj", q_size, hidden_size, config.attention_bias);
  layer.self_attn.k_proj =
      weights.linear(path + ".self_attn.k_proj", kv_size, hidden_size, config.attention_bias);
  layer.self_attn.v_proj =
      weights.linear(path + ".self_attn.v_proj", kv_size, hidden_size, config.attention_bias);
  layer.self_attn.o_proj =
      weights.linear(path + ".self_attn.o_proj", hidden_size, q_size, config.attention_output_bias);
  layer.post_attention_layernorm = weights.norm(path + ".post_attention_layernorm", hidden_size);
  layer.mlp.gate_proj = weights.linear(path + ".mlp.gate_proj", config.intermediate_size,
                                       hidden_size, config.mlp_bias);
  layer.mlp.up_proj =
      weights.linear(path + ".mlp.up_proj", config.intermediate_size, hidden_size, config.mlp_bias);
  layer.mlp.down_proj = weights.linear(path + ".mlp.down_proj", hidden_size,
                                       config.intermediate_size, config.mlp_bias);
  return layer;
}

class Llama final : public Forward {
 public:
  Llama(const ModelConfig& config, WeightLoader& weights) : config_(config) {
    embed_tokens_ = weights.linear("model.embed_tokens", config.vocab_size, config.hidden_size);
    for (std::int64_t i = 0; i < config.num_hidden_layers; ++i)
      layers_.push_back(load_layer(config, weights, "model.layers." + std::to_string(i)));
    norm_ = weights.norm("model.norm", config.hidden_size);
    inv_freq_ = weights.computed("rope.inv_freq", rope_inv_freq(config));
    lm_head_ = config.tie_word_embeddings
                   ? weights.shared("lm_head", embed_tokens_)
                   : weights.linear("lm_head", config.vocab_size, config.hidden_size);
  }

  void run(const Step& step) const override {
    Backend& backend = step.backend;
    backend.embed(*embed_tokens_.weight, step.tokens, step.lora[embed_tokens_.slot], step.x);
    for (std::size_t i = 0; i < layers_.size(); ++i) {
      attention(layers_[i], static_cast<std::int64_t>(i), step);
      mlp(layers_[i], step);
    }
    if (step.logits_rows.empty()) return;
    backend.select_rows(step.x, step.logits_rows, step.last);
    backend.rms_norm(step.last, *norm_, config_.rms_norm_eps, step.last);
    step.linear(step.last, {{lm_head_, step.logits}});
  }

 private:
  /// x += o_proj(attention(rope(q), rope(k), v)) of input_layernorm(x)
  void attention(const Layer& layer, std::int64_t index, const Step& step) const {
    const auto& attn = layer.self_attn;
    Backend& backend = step.backend;
    backend.rms_norm(step.x, *layer.input_layernorm, config_.rms_norm_eps, step.hidden);
    step.linear(step.hidden, {{attn.q_proj, step.q}, {attn.k_proj, step.k}, {attn.v_proj, step.v}});
    backend.rope_and_store({.q = step.q,
                            .k = step.k,
                            .v = step.v,
                            .inv_freq = inv_freq_,
                            .sequences = step.sequences,
                            .kv = &step.kv,
                            .layer = index});
    backend.attention({.q = step.q,
                       .out = step.attention,
                       .scale = 1.0f / std::sqrt(static_cast<float>(config_.head_dim)),
                       .sequences = step.sequences,
                       .kv = &step.kv,
                       .layer = index});
    step.linear(step.attention, {{attn.o_proj, step.hidden}});
    backend.add(step.x, step.hidden);
  }

  /// x += down_proj(silu(gate_proj(h)) * up_proj(h)) with h = post_attention_layernorm(x)
  void mlp(const Layer& layer, const Step& step) const {
    Backend& backend = step.backend;
    backend.rms_norm(step.x, *layer.post_attention_layernorm, config_.rms_norm_eps, step.hidden);
    step.linear(step.hidden, {{layer.mlp.gate_proj, step.gate}, {layer.mlp.up_proj, step.up}});
    backend.swiglu(step.gate, step.up, step.gate);
    step.linear(step.gate, {{layer.mlp.down_proj, step.hidden}});
    backend.add(step.x, step.hidden);
  }

  const ModelConfig& config_;
  Linear embed_tokens_;  // [vocab_size, hidden_size]
  std::vector<Layer> layers_;
  const Weight* norm_ = nullptr;      // [hidden_size]
  const Weight* inv_freq_ = nullptr;  // [head_dim / 2]
  Linear lm_head_;                    // [vocab_size, hidden_size]; tied: embed_tokens' weight
};

}  // namespace

std::unique_ptr<Forward> make_llama(const ModelConfig& config, WeightLoader& weights) {
  return std::make_unique<Llama>(config, weights);
}

}  // namespace bobby
