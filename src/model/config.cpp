#include "model/config.h"

#include <algorithm>
#include <array>
#include <limits>

#include "lora/json_object.h"
#include "model/quantization_config.h"

namespace bobby {

namespace {

// Bounds on what a config may claim. They are far above any model, and low enough that no product
// of two of them, times the bytes of an element, overflows 64 bits.
constexpr std::int64_t kMostLayers = 1024;
constexpr std::int64_t kMostHeads = 1 << 14;
constexpr std::int64_t kWidestHead = 1 << 14;
constexpr std::int64_t kWidestRow = 1 << 22;
constexpr std::int64_t kLargestVocabulary = 1 << 24;
constexpr std::int64_t kLongestContext = std::numeric_limits<std::int32_t>::max();

constexpr std::array<std::string_view, 3> kModelTypes = {"llama", "qwen2", "qwen3"};

/// Keys that other architectures or variants use to change the arithmetic, with the value at which
/// they change nothing. Another value is refused by name: it must not be ignored.
struct NeutralKey {
  std::string_view key;
  nlohmann::json neutral;
};

const std::vector<NeutralKey>& neutral_keys() {
  static const std::vector<NeutralKey> keys = {
      {"hidden_act", "silu"},
      {"rope_traditional", false},
      {"partial_rotary_factor", 1.0},
      {"use_sliding_window", false},
      {"num_experts", 0},
      {"num_local_experts", 0},
      {"n_routed_experts", 0},
      {"attn_logit_softcapping", nullptr},
      {"final_logit_softcapping", nullptr},
      {"clip_qkv", nullptr},
      {"logit_scale", 1.0},
      {"logits_scaling", 1.0},
      {"residual_multiplier", 1.0},
      {"embedding_multiplier", 1.0},
      {"attention_multiplier", nullptr},
      {"query_pre_attn_scalar", nullptr},
      {"no_rope_layers", nullptr},
      {"attn_temperature_tuning", false},
      {"model_file", nullptr},
      {"quantize_activations", false},
  };
  return keys;
}

void refuse_unimplemented(JsonObject& config) {
  for (const auto& [key, neutral] : neutral_keys())
    if (const nlohmann::json* value = config.find(key); value && *value != neutral)
      config.report(ErrorCode::kUnsupported, key, "changes the arithmetic and is not implemented",
                    json_excerpt(neutral), json_excerpt(*value));
  for (const std::string& layer_type : config.strings("layer_types"))
    if (layer_type != "full_attention") {
      config.report(ErrorCode::kUnsupported, "layer_types", "has a kind that is not implemented",
                    "\"full_attention\"", json_excerpt(layer_type));
      break;
    }
}

void read_llama3_scaling(JsonObject& entry, RopeScaling& scaling) {
  scaling.type = RopeScaling::Type::kLlama3;
  scaling.factor = entry.positive("factor");
  scaling.low_freq_factor = entry.positive("low_freq_factor", 1.0);
  scaling.high_freq_factor = entry.positive("high_freq_factor", 4.0);
  scaling.original_max_position_embeddings =
      entry.integer("original_max_position_embeddings", 1, kLongestContext, 8192);
  if (!(scaling.high_freq_factor > scaling.low_freq_factor))
    entry.report(ErrorCode::kMalformed, "high_freq_factor", "is not above low_freq_factor");
}

void read_rope_type(JsonObject& entry, RopeScaling& scaling) {
  const std::string key = entry.contains("type") ? "type" : "rope_type";
  const std::string type = entry.string(key, "default");
  if (type == "linear") {
    scaling.type = RopeScaling::Type::kLinear;
    scaling.factor = entry.positive("factor");
  } else if (type == "llama3") {
    read_llama3_scaling(entry, scaling);
  } else if (type != "default") {
    entry.report(ErrorCode::kUnsupported, key, "names a rope scaling that is not implemented",
                 "default, linear or llama3", json_excerpt(type));
  }
}

/// transformers >= 5 nests rope_theta and the scaling in `rope_parameters`; before that they are
/// `rope_theta` and `rope_scaling` at the top. The top level wins, as in mlx-lm.
void read_rope(JsonObject& json, ModelConfig& config) {
  const nlohmann::json* parameters = json.object("rope_parameters");
  const nlohmann::json* scaling = json.object("rope_scaling");
  if (parameters) {
    JsonObject entry(*parameters, json.name() + ": rope_parameters", json.problems());
    if (entry.number("partial_rotary_factor", 1.0) != 1.0)
      entry.report(ErrorCode::kUnsupported, "partial_rotary_factor",
                   "changes the arithmetic and is not implemented", "1.0");
    if (!scaling) read_rope_type(entry, config.rope_scaling);
    if (!json.contains("rope_theta") && entry.contains("rope_theta"))
      config.rope_theta = entry.positive("rope_theta");
  }
  if (scaling) {
    JsonObject entry(*scaling, json.name() + ": rope_scaling", json.problems());
    read_rope_type(entry, config.rope_scaling);
  }
  if (config.rope_theta != 0.0f) return;
  // Llama's first checkpoints leave the key out and mean 10000.
  const bool may_be_absent = config.model_type == "llama";
  config.rope_theta =
      json.positive("rope_theta", may_be_absent ? std::optional<double>(10000.0) : std::nullopt);
}

void read_heads(JsonObject& json, ModelConfig& config) {
  const bool llama = config.model_type == "llama";
  config.num_attention_heads = json.integer("num_attention_heads", 1, kMostHeads);
  const auto same = llama ? std::optional(config.num_attention_heads) : std::nullopt;
  config.num_key_value_heads = json.integer("num_key_value_heads", 1, kMostHeads, same);
  if (config.num_attention_heads % config.num_key_value_heads != 0)
    json.report(
        ErrorCode::kMalformed, "num_key_value_heads",
        "does not divide num_attention_heads (" + std::to_string(config.num_attention_heads) + ")",
        {}, std::to_string(config.num_key_value_heads));

  const bool derived = config.model_type != "qwen3" && !json.contains("head_dim");
  if (derived && config.hidden_size % config.num_attention_heads != 0)
    json.report(ErrorCode::kMalformed, "num_attention_heads",
                "does not divide hidden_size, and there is no head_dim");
  config.head_dim = derived
                        ? std::max<std::int64_t>(1, config.hidden_size / config.num_attention_heads)
                        : json.integer("head_dim", 1, kWidestHead);
  if (config.head_dim % 2 != 0)
    json.report(ErrorCode::kMalformed, "head_dim", "is odd, and rope turns pairs", {},
                std::to_string(config.head_dim));
  if (config.num_attention_heads * config.head_dim > kWidestRow)
    json.report(ErrorCode::kMalformed, "head_dim", "times num_attention_heads is too large",
                "at most " + std::to_string(kWidestRow),
                std::to_string(config.num_attention_heads * config.head_dim));
}

void read_biases(JsonObject& json, ModelConfig& config) {
  if (config.model_type == "llama") {
    config.attention_bias = json.boolean("attention_bias", false);
    config.attention_output_bias = config.attention_bias;
    config.mlp_bias = json.boolean("mlp_bias", false);
    return;
  }
  // Qwen2 has these three by its architecture, whatever the key says: nobody reads it.
  config.attention_bias = config.model_type == "qwen2";
  for (const std::string_view key : {"attention_bias", "mlp_bias"})
    if (json.boolean(key, false) && !(config.attention_bias && key == "attention_bias"))
      json.report(ErrorCode::kUnsupported, key, "is not implemented for " + config.model_type,
                  "false", "true");
}

void read_token_ids(JsonObject& json, ModelConfig& config) {
  constexpr std::int64_t kLastId = std::numeric_limits<std::int32_t>::max();
  for (const std::int64_t id : json.integers("eos_token_id", 0, kLastId))
    config.eos_token_id.push_back(static_cast<std::int32_t>(id));
  const auto bos = json.integers("bos_token_id", 0, kLastId);
  if (bos.size() == 1) config.bos_token_id = static_cast<std::int32_t>(bos.front());
}

void read_sizes(JsonObject& json, ModelConfig& config) {
  config.hidden_size = json.integer("hidden_size", 1, kWidestRow);
  config.num_hidden_layers = json.integer("num_hidden_layers", 1, kMostLayers);
  config.intermediate_size = json.integer("intermediate_size", 1, kWidestRow);
  config.vocab_size = json.integer("vocab_size", 1, kLargestVocabulary);
  config.max_position_embeddings = json.integer("max_position_embeddings", 1, kLongestContext);
  config.rms_norm_eps = json.positive("rms_norm_eps");
  config.tie_word_embeddings = json.boolean("tie_word_embeddings");
}

std::string known_model_types() {
  std::string names;
  for (const std::string_view name : kModelTypes)
    names += (names.empty() ? "" : ", ") + std::string(name);
  return names;
}

Result<ModelConfig> read_config(const nlohmann::json& parsed, const std::string& name) {
  std::vector<Error> problems;
  JsonObject json(parsed, name, problems);
  ModelConfig config;
  config.model_type = json.string("model_type");
  if (!problems.empty()) return fail(join_errors(std::move(problems)));
  // Nothing else in the file means anything before this is known.
  if (std::find(kModelTypes.begin(), kModelTypes.end(), config.model_type) == kModelTypes.end())
    return fail({.code = ErrorCode::kUnsupported,
                 .where = name + ": key 'model_type'",
                 .problem = "names an architecture that is not implemented",
                 .expected = "one of " + known_model_types(),
                 .found = json_excerpt(config.model_type)});
  read_sizes(json, config);
  read_heads(json, config);
  read_rope(json, config);
  read_biases(json, config);
  read_token_ids(json, config);
  refuse_unimplemented(json);
  read_quantization(json, config);
  if (!problems.empty()) return fail(join_errors(std::move(problems)));
  return config;
}

/// NVIDIA's ModelOpt says in a file of its own how it quantised, and config.json nothing.
Result<void> refuse_modelopt(const std::filesystem::path& folder) {
  const std::filesystem::path path = folder / "hf_quant_config.json";
  std::error_code code;
  if (!std::filesystem::exists(path, code)) return {};
  return fail({.code = ErrorCode::kUnsupported,
               .where = path.string(),
               .problem = "says that ModelOpt quantised this model, which is not implemented",
               .expected = "MLX's own key 'quantization' in config.json",
               .hint = "take an MLX conversion of this model"});
}

}  // namespace

Result<ModelConfig> ModelConfig::from_json(std::string_view text, std::string_view name) {
  BOBBY_TRY(const nlohmann::json json, parse_json_object(text, std::string(name)));
  return read_config(json, std::string(name));
}

Result<ModelConfig> ModelConfig::load(const std::filesystem::path& folder) {
  const std::filesystem::path path = folder / "config.json";
  BOBBY_TRY(const nlohmann::json json, read_json_object(path));
  BOBBY_TRY(ModelConfig config, read_config(json, path.string()));
  if (!config.quantization) BOBBY_CHECK(refuse_modelopt(folder));

  const std::filesystem::path generation_path = folder / "generation_config.json";
  std::error_code code;
  if (!std::filesystem::exists(generation_path, code)) return config;
  BOBBY_TRY(const nlohmann::json generation, read_json_object(generation_path));
  std::vector<Error> problems;
  JsonObject entry(generation, generation_path.string(), problems);
  const auto ids = entry.integers("eos_token_id", 0, std::numeric_limits<std::int32_t>::max());
  if (!problems.empty()) return fail(join_errors(std::move(problems)));
  if (!ids.empty()) config.eos_token_id.assign(ids.begin(), ids.end());
  return config;
}

}  // namespace bobby
