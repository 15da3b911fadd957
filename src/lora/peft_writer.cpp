// Writes an adapter as PEFT does. lora_alpha is scale * rank, which a double holds exactly, so that
// lora_alpha / r is the scale again; modules that differ have entries in the patterns.

#include <algorithm>
#include <cmath>
#include <utility>

#include "base/output_folder.h"
#include "lora/adapter_writer.h"
#include "lora/block_path.h"
#include "lora/common_scale.h"

namespace bobby {
namespace {

/// A number x with float(x / rank) == scale, as short as there is one: a whole number when it can
/// be.
nlohmann::json alpha_json(float scale, std::int64_t rank) {
  const auto divided = [&](double alpha) {
    return static_cast<float>(alpha / static_cast<double>(rank));
  };
  const double exact = static_cast<double>(scale) * static_cast<double>(rank);
  const double nice = shortest_json(static_cast<float>(exact)).get<double>();
  const double alpha = divided(nice) == scale ? nice : exact;
  constexpr double kLargestWhole = 9e15;
  if (alpha == std::floor(alpha) && std::abs(alpha) < kLargestWhole)
    return static_cast<std::int64_t>(alpha);
  return alpha;
}

/// target_modules, exclude_modules and layers_to_transform.
void put_selection(const Adapter& adapter, const AdapterTarget& target, nlohmann::json& config) {
  config["exclude_modules"] = nullptr;
  config["layers_to_transform"] = nullptr;
  if (adapter.source == Adapter::Source::kPeft) {
    config["target_modules"] = adapter.target_modules;
    if (adapter.target_modules == std::vector<std::string>{"all-linear"})
      config["target_modules"] = "all-linear";
    if (!adapter.exclude_modules.empty()) config["exclude_modules"] = adapter.exclude_modules;
    if (!adapter.layers_to_transform.empty())
      config["layers_to_transform"] = adapter.layers_to_transform;
    return;
  }
  const ModuleSet set = module_set(adapter);
  std::vector<std::string> names;
  if (set.same_in_all) {
    for (const std::string& name : set.names) names.push_back(name.substr(name.rfind('.') + 1));
    names.insert(names.end(), set.outer.begin(), set.outer.end());
    const bool every_block = target.base && static_cast<std::int64_t>(set.layers.size()) ==
                                                target.base->num_hidden_layers;
    if (!set.layers.empty() && !every_block) config["layers_to_transform"] = set.layers;
  } else {
    for (const AdapterModule& module : adapter.modules) names.push_back(module.path);
  }
  config["target_modules"] = std::move(names);
}

std::string config_json(const Adapter& adapter, const AdapterTarget& target) {
  const float scale = common_scale(adapter.modules);
  const std::int64_t rank = std::max<std::int64_t>(common_rank(adapter.modules, scale), 1);
  const nlohmann::json alpha = alpha_json(scale, rank);
  nlohmann::json ranks = nlohmann::json::object();
  nlohmann::json alphas = nlohmann::json::object();
  for (const AdapterModule& module : adapter.modules) {
    if (module.rank != rank) ranks[module.path] = module.rank;
    const double implied = alpha.get<double>() / static_cast<double>(module.rank);
    if (static_cast<float>(implied) != module.scale)
      alphas[module.path] = alpha_json(module.scale, module.rank);
  }
  nlohmann::json config = {{"peft_type", "LORA"},
                           {"task_type", "CAUSAL_LM"},
                           {"base_model_name_or_path", nullptr},
                           {"revision", nullptr},
                           {"inference_mode", true},
                           {"r", rank},
                           {"lora_alpha", alpha},
                           {"rank_pattern", std::move(ranks)},
                           {"alpha_pattern", std::move(alphas)},
                           {"use_rslora", false},
                           {"use_dora", adapter.dora},
                           {"lora_dropout", 0.0},
                           {"bias", "none"},
                           {"fan_in_fan_out", false},
                           {"init_lora_weights", true},
                           {"layers_pattern", nullptr},
                           {"modules_to_save", nullptr}};
  if (!adapter.base_name.empty()) config["base_model_name_or_path"] = adapter.base_name;
  put_selection(adapter, target, config);
  return config.dump(2) + "\n";
}

std::vector<MatrixToWrite> matrices_of(const Adapter& adapter) {
  std::vector<MatrixToWrite> matrices;
  for (const AdapterModule& module : adapter.modules) {
    const std::string prefix = "base_model.model." + module.path + ".";
    const bool embedding = module.path == kEmbeddingPath;
    matrices.push_back({.name = prefix + (embedding ? "lora_embedding_A" : "lora_A.weight"),
                        .dtype = module.dtype,
                        .rows = module.rank,
                        .cols = module.in_features,
                        .values = &module.a});
    matrices.push_back({.name = prefix + (embedding ? "lora_embedding_B" : "lora_B.weight"),
                        .dtype = module.dtype,
                        .rows = module.out_features,
                        .cols = module.rank,
                        .values = &module.b});
    if (adapter.dora)
      matrices.push_back({.name = prefix + "lora_magnitude_vector",
                          .rows = module.out_features,
                          .values = &module.magnitude});
  }
  return matrices;
}

}  // namespace

Result<AdapterWritten> write_peft_adapter(Adapter& adapter, const AdapterTarget& target) {
  BOBBY_TRY(OutputFolder output, OutputFolder::create(target.path));
  BOBBY_CHECK(write_matrices(output.path() / "adapter_model.safetensors", matrices_of(adapter),
                             {{"format", "pt"}}));
  BOBBY_CHECK(output.write_text("adapter_config.json", config_json(adapter, target)));
  if (target.voice_json) BOBBY_CHECK(output.write_text("voice.json", *target.voice_json));
  BOBBY_CHECK(output.commit());
  return AdapterWritten{.modules = static_cast<std::int64_t>(adapter.modules.size()),
                        .inexact = {}};
}

}  // namespace bobby
