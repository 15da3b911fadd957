// Adapters of PEFT: base_model.model.PATH.lora_A.weight [rank, in_features], .lora_B.weight
// [out_features, rank], .lora_magnitude_vector [out_features] for DoRA; an embedding's are
// .lora_embedding_A [rank, vocab_size] and .lora_embedding_B [hidden_size, rank]. The scale is
// lora_alpha / r, or lora_alpha / sqrt(r) with use_rslora. Source:
// peft/tuners/lora/{config,model}.py

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>

#include "lora/adapter_reader.h"

namespace bobby {

namespace {

constexpr TensorLayout kLayout = {
    .a = "lora_A", .b = "lora_B", .magnitude = "lora_magnitude_vector"};
constexpr std::int64_t kLargest = std::numeric_limits<std::int32_t>::max();

/// Keys that change what an adapter does, with the value at which they do not.
struct NeutralKey {
  std::string_view key;
  nlohmann::json neutral;
};

const std::vector<NeutralKey>& neutral_keys() {
  static const std::vector<NeutralKey> keys = {
      {"peft_type", "LORA"},
      {"bias", "none"},
      {"fan_in_fan_out", false},
      {"lora_bias", false},
      {"use_qalora", false},
      {"modules_to_save", nullptr},
      {"layer_replication", nullptr},
      {"target_parameters", nullptr},
      {"trainable_token_indices", nullptr},
      {"alora_invocation_tokens", nullptr},
      {"use_bdlora", nullptr},
      {"arrow_config", nullptr},
      {"kasa_config", nullptr},
      {"velora_config", nullptr},
      {"monteclora_config", nullptr},
      {"ensure_weight_tying", false},
  };
  return keys;
}

/// A name that means itself when PEFT takes it as a regular expression.
bool is_plain_name(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-' || c == '.';
  });
}

bool is_path_or_ending(std::string_view path, std::string_view ending) {
  return path == ending || (path.ends_with(ending) && path[path.size() - ending.size() - 1] == '.');
}

void refuse_unimplemented(JsonObject& config) {
  for (const auto& [key, neutral] : neutral_keys()) {
    const nlohmann::json* value = config.find(key);
    const bool empty = value && value->is_structured() && value->empty();
    if (value && !empty && *value != neutral)
      config.report(ErrorCode::kUnsupported, key,
                    "changes what the adapter does and is not "
                    "implemented",
                    json_excerpt(neutral), json_excerpt(*value));
  }
  // These start from a changed base, so that the adapter does not fit the base as published.
  const nlohmann::json* init = config.find("init_lora_weights");
  if (!init || !init->is_string()) return;
  const std::string name = init->get<std::string>();
  if (name != "gaussian" && name != "orthogonal" && name != "eva")
    config.report(ErrorCode::kUnsupported, "init_lora_weights",
                  "names a method that changes the base weights",
                  "true, false, \"gaussian\", \"orthogonal\" or \"eva\"", json_excerpt(name),
                  "convert the adapter to plain LoRA with PEFT");
}

/// A list of module names, or one string: "all-linear", or a name that is no regular expression.
std::vector<std::string> read_names(JsonObject& config, std::string_view key) {
  const nlohmann::json* value = config.find(key);
  if (!value || !value->is_string()) return config.strings(key);
  const std::string name = value->get<std::string>();
  if (is_plain_name(name)) return {name};
  config.report(ErrorCode::kUnsupported, key, "is a regular expression, which is not implemented",
                "a list of module names", json_excerpt(name));
  return {};
}

/// r and lora_alpha, and the modules that have their own.
struct Ranks {
  struct Pattern {
    std::string name;  // a module's path, or the end of it after a dot
    double value;
  };
  std::int64_t r = 1;
  double lora_alpha = 1;
  bool use_rslora = false;
  std::vector<Pattern> rank_pattern;
  std::vector<Pattern> alpha_pattern;

  /// The first that fits, in the order of names: PEFT takes the file's order and writes them
  /// sorted.
  static double find(const std::vector<Pattern>& patterns, std::string_view path, double fallback) {
    for (const Pattern& pattern : patterns)
      if (is_path_or_ending(path, pattern.name)) return pattern.value;
    return fallback;
  }
  std::int64_t rank(std::string_view path) const {
    return static_cast<std::int64_t>(find(rank_pattern, path, static_cast<double>(r)));
  }
  float scale(std::string_view path) const {
    const double rank_of_path = static_cast<double>(rank(path));
    const double alpha = find(alpha_pattern, path, lora_alpha);
    return static_cast<float>(alpha / (use_rslora ? std::sqrt(rank_of_path) : rank_of_path));
  }
};

std::vector<Ranks::Pattern> read_patterns(JsonObject& config, std::string_view key, bool ranks) {
  std::vector<Ranks::Pattern> patterns;
  const nlohmann::json* value = config.object(key);
  if (!value) return patterns;
  JsonObject entries(*value, config.name() + ": " + std::string(key), config.problems());
  for (const auto& [name, entry] : value->items()) {
    if (!is_plain_name(name))
      entries.report(ErrorCode::kUnsupported, name,
                     "is a regular expression, which is not implemented", "a module's name");
    else
      patterns.push_back({name, ranks ? static_cast<double>(entries.integer(name, 1, kLargest))
                                      : entries.number(name)});
  }
  return patterns;
}

Ranks read_config(JsonObject& config, Adapter& adapter) {
  refuse_unimplemented(config);
  adapter.dora = config.boolean("use_dora", false);
  adapter.base_name = config.text_or_empty("base_model_name_or_path");
  adapter.target_modules = read_names(config, "target_modules");
  adapter.exclude_modules = read_names(config, "exclude_modules");
  if (!config.contains("target_modules"))
    config.report(ErrorCode::kMalformed, "target_modules", "is missing", "a list of module names");
  adapter.layers_to_transform = config.integers("layers_to_transform", 0, kLargest);
  for (const std::string& pattern : read_names(config, "layers_pattern"))
    if (pattern != "layers")
      config.report(ErrorCode::kUnsupported, "layers_pattern", "is not implemented", "\"layers\"",
                    json_excerpt(pattern));
  Ranks ranks;
  ranks.r = config.integer("r", 1, kLargest);
  ranks.lora_alpha = config.number("lora_alpha");
  ranks.use_rslora = config.boolean("use_rslora", false);
  ranks.rank_pattern = read_patterns(config, "rank_pattern", true);
  ranks.alpha_pattern = read_patterns(config, "alpha_pattern", false);
  adapter.scale = ranks.scale("");
  return ranks;
}

/// Cuts `ending` off `text` if it is there.
bool cut(std::string_view& text, std::string_view ending) {
  if (!text.ends_with(ending)) return false;
  text.remove_suffix(ending.size());
  return true;
}

/// Puts a tensor where its name says; false for a name that is no adapter's.
bool sort_in(const safetensors::Tensor& tensor, AdapterReader& reader) {
  constexpr std::string_view kPrefix = "base_model.model.";
  std::string_view name = tensor.name;
  if (!name.starts_with(kPrefix)) return false;
  name.remove_prefix(kPrefix.size());
  cut(name, ".weight");
  cut(name, ".default");  // the adapter's name, in files saved without PEFT's own function
  const safetensors::Tensor* ModuleTensors::*place = nullptr;
  if (cut(name, ".lora_A") || cut(name, ".lora_embedding_A"))
    place = &ModuleTensors::a;
  else if (cut(name, ".lora_B") || cut(name, ".lora_embedding_B"))
    place = &ModuleTensors::b;
  else if (cut(name, ".lora_magnitude_vector"))
    place = &ModuleTensors::magnitude;
  if (!place || name.empty()) return false;
  const safetensors::Tensor*& slot = reader.tensors_of(std::string(name)).*place;
  if (slot) return false;  // two spellings of one tensor
  slot = &tensor;
  return true;
}

}  // namespace

void read_peft_adapter(JsonObject& config, AdapterReader& reader, Adapter& adapter) {
  adapter.source = Adapter::Source::kPeft;
  const Ranks ranks = read_config(config, adapter);
  if (!config.problems().empty()) return;
  for (const safetensors::Tensor& tensor : reader.file().tensors())
    if (!sort_in(tensor, reader))
      reader.unknown_tensor(tensor, tensor.name.find("embed_tokens") == std::string::npos
                                        ? ""
                                        : "save the adapter with save_embedding_layers=False");
  for (const auto& [path, tensors] : reader.modules())
    reader.read(path, kLayout, ranks.rank(path), ranks.scale(path), adapter);
}

}  // namespace bobby
