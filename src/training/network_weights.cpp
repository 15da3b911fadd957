#include "training/network_weights.h"

#include <utility>

#include "base/safetensors_error.h"
#include "model/rope.h"

namespace bobby {

namespace {

BlockWeights load_block(const ModelConfig& config, WeightLoader& weights, const std::string& path) {
  const bool qwen3 = config.model_type == "qwen3";
  const std::int64_t hidden_size = config.hidden_size;
  const std::int64_t q_size = config.num_attention_heads * config.head_dim;
  const std::int64_t kv_size = config.num_key_value_heads * config.head_dim;

  BlockWeights block;
  const auto load = [&](BlockProjection projection, std::int64_t out, std::int64_t in, bool bias) {
    const auto index = static_cast<std::size_t>(projection);
    block.projections[index] =
        weights.linear(path + "." + std::string(kBlockProjectionNames[index]), out, in, bias);
  };
  block.input_layernorm = weights.norm(path + ".input_layernorm", hidden_size);
  load(BlockProjection::kQ, q_size, hidden_size, config.attention_bias);
  load(BlockProjection::kK, kv_size, hidden_size, config.attention_bias);
  load(BlockProjection::kV, kv_size, hidden_size, config.attention_bias);
  load(BlockProjection::kO, hidden_size, q_size, config.attention_output_bias);
  if (qwen3) {
    block.q_norm = weights.norm(path + ".self_attn.q_norm", config.head_dim);
    block.k_norm = weights.norm(path + ".self_attn.k_norm", config.head_dim);
  }
  block.post_attention_layernorm = weights.norm(path + ".post_attention_layernorm", hidden_size);
  load(BlockProjection::kGate, config.intermediate_size, hidden_size, config.mlp_bias);
  load(BlockProjection::kUp, config.intermediate_size, hidden_size, config.mlp_bias);
  load(BlockProjection::kDown, hidden_size, config.intermediate_size, config.mlp_bias);
  return block;
}

}  // namespace

Result<std::unique_ptr<NetworkWeights>> NetworkWeights::load(const std::filesystem::path& folder,
                                                             Backend& backend) {
  BOBBY_TRY(ModelConfig loaded_config, ModelConfig::load(folder));
  auto checkpoint = safetensors::Checkpoint::open(folder);
  if (!checkpoint) return fail(to_error(checkpoint.error()));

  std::unique_ptr<NetworkWeights> network(
      new NetworkWeights{.config = std::move(loaded_config), .checkpoint = std::move(*checkpoint)});
  const ModelConfig& config = network->config;
  WeightLoader weights(network->checkpoint, config, backend);
  network->embed_tokens =
      weights.linear("model.embed_tokens", config.vocab_size, config.hidden_size);
  for (std::int64_t i = 0; i < config.num_hidden_layers; ++i)
    network->blocks.push_back(load_block(config, weights, "model.layers." + std::to_string(i)));
  network->norm = weights.norm("model.norm", config.hidden_size);
  network->inv_freq = weights.computed("rope.inv_freq", rope_inv_freq(config));
  network->lm_head = config.tie_word_embeddings
                         ? weights.shared("lm_head", network->embed_tokens)
                         : weights.linear("lm_head", config.vocab_size, config.hidden_size);
  auto loaded = weights.finish();
  if (!loaded) return fail(std::move(loaded).error().in(folder.string()));
  network->loaded = std::move(*loaded);
  return network;
}

std::size_t NetworkWeights::bytes() const {
  std::size_t bytes = 0;
  for (const auto& weight : loaded.weights) bytes += weight->view().total_bytes();
  return bytes;
}

}  // namespace bobby
