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

/// What the members of a family differ in.
struct Architecture {
  std::string_view name;
  std::string_view model_type;
  std::int64_t hidden_size;
  std::int64_t intermediate_size;
  std::int64_t num_hidden_layers;
  std::int64_t num_attention_heads;
  std::int64_t num_key_value_heads;
  std::int64_t head_dim;
  bool tie_word_embeddings;
};

// From the config.json of each model as published.
constexpr std::array<Architecture, 5> kArchitectures = {{
    {"qwen3-0.6b", "qwen3", 1024, 3072, 28, 16, 8, 128, true},
    {"qwen3-1.7b", "qwen3", 2048, 6144, 28, 16, 8, 128, true},
    {"qwen3-4b", "qwen3", 2560, 9728, 36, 32, 8, 128, true},
    {"qwen3-8b", "qwen3", 4096, 12288, 36, 32, 8, 128, false},
    {"smollm2-135m", "llama", 576, 1536, 30, 9, 3, 64, true},
}};

nlohmann::json config_of(const Architecture& architecture, int bits, int group_size) {
  const bool qwen3 = architecture.model_type == "qwen3";
  nlohmann::json config = {
      {"architectures", {qwen3 ? "Qwen3ForCausalLM" : "LlamaForCausalLM"}},
      {"model_type", architecture.model_type},
      {"hidden_size", architecture.hidden_size},
      {"intermediate_size", architecture.intermediate_size},
      {"num_hidden_layers", architecture.num_hidden_layers},
      {"num_attention_heads", architecture.num_attention_heads},
      {"num_key_value_heads", architecture.num_key_value_heads},
      {"head_dim", architecture.head_dim},
      {"tie_word_embeddings", architecture.tie_word_embeddings},
      {"vocab_size", qwen3 ? 151936 : 49152},
      {"max_position_embeddings", qwen3 ? 40960 : 8192},
      {"rope_theta", qwen3 ? 1000000 : 100000},
      {"rms_norm_eps", qwen3 ? 1e-6 : 1e-5},
      {"bos_token_id", qwen3 ? 151643 : 1},
      {"eos_token_id", qwen3 ? 151645 : 2},
      {"attention_bias", false},
      {"hidden_act", "silu"},
  };
  if (bits != 0)
    config["quantization"] = {{"group_size", group_size}, {"bits", bits}, {"mode", "affine"}};
  return config;
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
  return made;
}

}  // namespace bobby
