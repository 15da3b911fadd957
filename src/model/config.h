#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "tensor/formats/float_modes.h"

namespace bobby {

/// MLX's `quantization` of one module, or of all that have no entry of their own.
struct QuantizationConfig {
  int group_size = 64;
  int bits = 4;
  QuantizationMode mode = QuantizationMode::kAffine;
  bool operator==(const QuantizationConfig&) const = default;
};

/// `rope_scaling` of the checkpoint, as far as it is implemented.
struct RopeScaling {
  enum class Type : std::uint8_t { kNone, kLinear, kLlama3 };
  Type type = Type::kNone;
  float factor = 1.0f;
  float low_freq_factor = 1.0f;                       ///< llama3
  float high_freq_factor = 4.0f;                      ///< llama3
  std::int64_t original_max_position_embeddings = 0;  ///< llama3
};

/// config.json in the checkpoint's own words. Keys that would change the arithmetic and are not
/// implemented are errors that name them.
struct ModelConfig {
  std::string model_type;  ///< "qwen3", "qwen2", "llama"
  std::int64_t hidden_size = 0;
  std::int64_t num_hidden_layers = 0;
  std::int64_t intermediate_size = 0;
  std::int64_t num_attention_heads = 0;
  std::int64_t num_key_value_heads = 0;
  /// Its own number: num_attention_heads * head_dim may differ from hidden_size.
  std::int64_t head_dim = 0;
  std::int64_t vocab_size = 0;
  std::int64_t max_position_embeddings = 0;
  float rms_norm_eps = 0.0f;
  float rope_theta = 0.0f;
  RopeScaling rope_scaling;
  bool tie_word_embeddings = false;
  bool attention_bias = false;         ///< q_proj, k_proj and v_proj have biases
  bool attention_output_bias = false;  ///< o_proj has one; llama has all four or none, qwen2 three
  bool mlp_bias = false;
  std::vector<std::int32_t> eos_token_id;
  std::optional<std::int32_t> bos_token_id;

  std::optional<QuantizationConfig> quantization;  ///< the global entry; unset: not quantised
  /// Entries by module path; nullopt is `false` (not quantised). A path with `.scales` that has no
  /// entry takes its mode, bits and group size from the tensors (as mlx-lm does).
  std::map<std::string, std::optional<QuantizationConfig>, std::less<>> quantization_by_path;

  /// Reads and checks `folder`/config.json; eos_token_id of `folder`/generation_config.json, where
  /// there is one, takes precedence (as in mlx-lm). All problems in one Error.
  static Result<ModelConfig> load(const std::filesystem::path& folder);
  static Result<ModelConfig> from_json(std::string_view json, std::string_view name);
};

}  // namespace bobby
