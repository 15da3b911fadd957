#include "hub/synth_config.h"

#include <algorithm>
#include <array>
#include <filesystem>
#include <fmt/format.h>
#include <string_view>

#include "hub/synth_model.h"
#include "lora/json_object.h"

namespace bobby {
namespace {

namespace fs = std::filesystem;

/// What all members of a family have.
struct Family {
  std::string_view model_type;
  std::string_view architecture;  ///< config.json's `architectures`
  std::int64_t max_position_embeddings;
  double rope_theta;
  double rms_norm_eps;
  std::int64_t bos_token_id;
  std::int64_t eos_token_id;
};

constexpr Family kQwen3 = {"qwen3", "Qwen3ForCausalLM", 40960, 1e6, 1e-6, 151643, 151645};
constexpr Family kQwen25 = {"qwen2", "Qwen2ForCausalLM", 32768, 1e6, 1e-6, 151643, 151645};
constexpr Family kLlama3 = {"llama", "LlamaForCausalLM", 131072, 5e5, 1e-5, 128000, 128009};
constexpr Family kSmolLm2 = {"llama", "LlamaForCausalLM", 8192, 1e5, 1e-5, 1, 2};

/// What they differ in.
struct Architecture {
  std::string_view name;
  const Family* family;
  std::int64_t hidden_size;
  std::int64_t intermediate_size;
  std::int64_t num_hidden_layers;
  std::int64_t num_attention_heads;
  std::int64_t num_key_value_heads;
  std::int64_t head_dim;
  bool tie_word_embeddings;
  std::int64_t vocab_size;
};

// From the config.json of each model as published.
constexpr auto kArchitectures = std::to_array<Architecture>({
    {"qwen3-0.6b", &kQwen3, 1024, 3072, 28, 16, 8, 128, true, 151936},
    {"qwen3-1.7b", &kQwen3, 2048, 6144, 28, 16, 8, 128, true, 151936},
    {"qwen3-4b", &kQwen3, 2560, 9728, 36, 32, 8, 128, true, 151936},
    {"qwen3-8b", &kQwen3, 4096, 12288, 36, 32, 8, 128, false, 151936},
    {"qwen3-14b", &kQwen3, 5120, 17408, 40, 40, 8, 128, false, 151936},
    {"qwen3-32b", &kQwen3, 5120, 25600, 64, 64, 8, 128, false, 151936},
    {"qwen2.5-0.5b", &kQwen25, 896, 4864, 24, 14, 2, 64, true, 151936},
    {"qwen2.5-1.5b", &kQwen25, 1536, 8960, 28, 12, 2, 128, true, 151936},
    {"qwen2.5-3b", &kQwen25, 2048, 11008, 36, 16, 2, 128, true, 151936},
    {"qwen2.5-7b", &kQwen25, 3584, 18944, 28, 28, 4, 128, false, 152064},
    {"qwen2.5-14b", &kQwen25, 5120, 13824, 48, 40, 8, 128, false, 152064},
    {"qwen2.5-32b", &kQwen25, 5120, 27648, 64, 40, 8, 128, false, 152064},
    {"llama-3.2-1b", &kLlama3, 2048, 8192, 16, 32, 8, 64, true, 128256},
    {"llama-3.2-3b", &kLlama3, 3072, 8192, 28, 24, 8, 128, true, 128256},
    {"llama-3.1-8b", &kLlama3, 4096, 14336, 32, 32, 8, 128, false, 128256},
    {"smollm2-135m", &kSmolLm2, 576, 1536, 30, 9, 3, 64, true, 49152},
    {"smollm2-360m", &kSmolLm2, 960, 2560, 32, 15, 5, 64, true, 49152},
    {"smollm2-1.7b", &kSmolLm2, 2048, 8192, 24, 32, 32, 64, true, 49152},
});

/// Keys that only some have.
void add_own_keys(const Architecture& architecture, nlohmann::json& config) {
  if (architecture.family == &kLlama3)  // 32 in 3.2, whose heads are tied; 8 in 3.1
    config["rope_scaling"] = {{"rope_type", "llama3"},
                              {"factor", architecture.tie_word_embeddings ? 32.0 : 8.0},
                              {"low_freq_factor", 1.0},
                              {"high_freq_factor", 4.0},
                              {"original_max_position_embeddings", 8192}};
  if (architecture.family == &kQwen25)
    config["use_sliding_window"] = false;
  else
    config["attention_bias"] = false;
  if (architecture.name == "smollm2-1.7b") config["rope_theta"] = 130000;
}

nlohmann::json config_of(const Architecture& architecture, int bits, int group_size) {
  const Family& family = *architecture.family;
  nlohmann::json config = {
      {"architectures", {family.architecture}},
      {"model_type", family.model_type},
      {"hidden_size", architecture.hidden_size},
      {"intermediate_size", architecture.intermediate_size},
      {"num_hidden_layers", architecture.num_hidden_layers},
      {"num_attention_heads", architecture.num_attention_heads},
      {"num_key_value_heads", architecture.num_key_value_heads},
      {"head_dim", architecture.head_dim},
      {"tie_word_embeddings", architecture.tie_word_embeddings},
      {"vocab_size", architecture.vocab_size},
      {"max_position_embeddings", family.max_position_embeddings},
      {"rope_theta", family.rope_theta},
      {"rms_norm_eps", family.rms_norm_eps},
      {"bos_token_id", family.bos_token_id},
      {"eos_token_id", family.eos_token_id},
      {"hidden_act", "silu"},
  };
  add_own_keys(architecture, config);
  if (bits != 0)
    config["quantization"] = {{"group_size", group_size}, {"bits", bits}, {"mode", "affine"}};
  return config;
}

/// Random weights are made in affine formats alone.
Result<void> check_modes(const ModelConfig& config, const std::string& arch) {
  const auto is_affine = [](const std::optional<QuantizationConfig>& entry) {
    return !entry || entry->mode == QuantizationMode::kAffine;
  };
  bool affine = is_affine(config.quantization);
  for (const auto& [path, entry] : config.quantization_by_path) affine = affine && is_affine(entry);
  if (affine) return {};
  return fail({.code = ErrorCode::kUnsupported,
               .where = arch + ": quantization",
               .problem = "random weights are not made in floating point modes",
               .expected = "mode affine"});
}

Result<nlohmann::json> read_config(const std::string& arch) {
  std::error_code ignored;
  const fs::path path = arch;
  if (fs::is_directory(path, ignored)) return read_json_object(path / "config.json");
  if (fs::exists(path, ignored)) return read_json_object(path);
  std::string known;
  for (const std::string& name : synth_architectures()) known += name + ", ";
  return fail({.code = ErrorCode::kNotFound,
               .where = arch,
               .problem = "is neither a known architecture nor a file",
               .expected = known + "a model folder or a config.json"});
}

}  // namespace

std::vector<std::string> synth_architectures() {
  std::vector<std::string> names;
  for (const Architecture& architecture : kArchitectures) names.emplace_back(architecture.name);
  return names;
}

Result<SynthConfig> synth_config(const std::string& arch, int bits, int group_size) {
  SynthConfig made;
  const auto known = std::ranges::find(kArchitectures, arch, &Architecture::name);
  if (known != kArchitectures.end()) {
    made.json = config_of(*known, bits, group_size);
  } else {
    BOBBY_TRY(made.json, read_config(arch));
  }
  BOBBY_TRY(made.config, ModelConfig::from_json(made.json.dump(), arch));
  BOBBY_CHECK(check_modes(made.config, arch));
  return made;
}

}  // namespace bobby
