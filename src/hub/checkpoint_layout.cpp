#include "hub/checkpoint_layout.h"

#include <fmt/format.h>

namespace bobby {
namespace {

using Kind = ModelTensor::Kind;

void add_layer(const ModelConfig& config, std::int64_t layer, std::vector<ModelTensor>& tensors) {
  const std::string path = fmt::format("model.layers.{}", layer);
  const std::int64_t hidden = config.hidden_size;
  const std::int64_t q_size = config.num_attention_heads * config.head_dim;
  const std::int64_t kv_size = config.num_key_value_heads * config.head_dim;
  const auto linear = [&](std::string_view name, std::int64_t rows, std::int64_t cols, bool bias) {
    tensors.push_back({path + std::string(name), Kind::kLinear, rows, cols});
    if (bias) tensors.push_back({path + std::string(name), Kind::kBias, 1, rows});
  };
  const auto norm = [&](std::string_view name, std::int64_t size) {
    tensors.push_back({path + std::string(name), Kind::kNorm, 1, size});
  };
  norm(".input_layernorm", hidden);
  linear(".self_attn.q_proj", q_size, hidden, config.attention_bias);
  linear(".self_attn.k_proj", kv_size, hidden, config.attention_bias);
  linear(".self_attn.v_proj", kv_size, hidden, config.attention_bias);
  if (config.model_type == "qwen3") {
    norm(".self_attn.q_norm", config.head_dim);
    norm(".self_attn.k_norm", config.head_dim);
  }
  linear(".self_attn.o_proj", hidden, q_size, config.attention_output_bias);
  norm(".post_attention_layernorm", hidden);
  linear(".mlp.gate_proj", config.intermediate_size, hidden, config.mlp_bias);
  linear(".mlp.up_proj", config.intermediate_size, hidden, config.mlp_bias);
  linear(".mlp.down_proj", hidden, config.intermediate_size, config.mlp_bias);
}

}  // namespace

std::vector<ModelTensor> model_tensors(const ModelConfig& config) {
  std::vector<ModelTensor> tensors;
  tensors.push_back(
      {"model.embed_tokens", Kind::kEmbedding, config.vocab_size, config.hidden_size});
  for (std::int64_t layer = 0; layer < config.num_hidden_layers; ++layer)
    add_layer(config, layer, tensors);
  tensors.push_back({"model.norm", Kind::kNorm, 1, config.hidden_size});
  if (!config.tie_word_embeddings)
    tensors.push_back({"lm_head", Kind::kLinear, config.vocab_size, config.hidden_size});
  return tensors;
}

WeightFormat format_of(const ModelTensor& tensor, const ModelConfig& config, DType dtype) {
  const WeightFormat dense{.dtype = dtype};
  if (!tensor.is_matrix()) return dense;
  const auto own = config.quantization_by_path.find(tensor.path);
  const auto& entry = own != config.quantization_by_path.end() ? own->second : config.quantization;
  if (!entry || tensor.cols % entry->group_size != 0) return dense;
  return {.kind = WeightFormat::Kind::kAffine,
          .dtype = dtype,
          .bits = entry->bits,
          .group_size = entry->group_size};
}

std::vector<safetensors::TensorInfo> stored_tensors(const ModelTensor& tensor,
                                                    const WeightFormat& format) {
  const auto rows = static_cast<std::uint64_t>(tensor.rows);
  const auto cols = static_cast<std::uint64_t>(tensor.cols);
  const safetensors::DType dtype = stored_dtype(format.dtype);
  if (tensor.kind == Kind::kNorm) return {{tensor.path + ".weight", dtype, {cols}}};
  if (tensor.kind == Kind::kBias) return {{tensor.path + ".bias", dtype, {cols}}};
  if (format.kind == WeightFormat::Kind::kDense)
    return {{tensor.path + ".weight", dtype, {rows, cols}}};
  const std::uint64_t words = cols * static_cast<std::uint64_t>(format.bits) / 32;
  const std::uint64_t groups = cols / static_cast<std::uint64_t>(format.group_size);
  return {{tensor.path + ".weight", safetensors::DType::kU32, {rows, words}},
          {tensor.path + ".scales", dtype, {rows, groups}},
          {tensor.path + ".biases", dtype, {rows, groups}}};
}

safetensors::DType stored_dtype(DType dtype) {
  switch (dtype) {
    case DType::kF16: return safetensors::DType::kF16;
    case DType::kBF16: return safetensors::DType::kBF16;
    default: return safetensors::DType::kF32;
  }
}

std::optional<DType> float_dtype(safetensors::DType dtype) {
  switch (dtype) {
    case safetensors::DType::kF16: return DType::kF16;
    case safetensors::DType::kBF16: return DType::kBF16;
    case safetensors::DType::kF32: return DType::kF32;
    default: return std::nullopt;
  }
}

}  // namespace bobby
