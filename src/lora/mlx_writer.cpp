// Writes an adapter as mlx-lm does: one rank and one scale for all modules, lora_a [in_features,
// rank], lora_b [rank, out_features]. Ranks that differ are filled up with zeros, which changes no
// product.

#include <algorithm>
#include <utility>

#include "base/output_folder.h"
#include "lora/adapter_writer.h"
#include "lora/common_scale.h"

namespace bobby {
namespace {

/// num_layers and keys of the config.
struct Selection {
  std::int64_t num_layers = -1;
  std::vector<std::string> keys;  ///< empty: left out
};

Selection selection(const Adapter& adapter, const AdapterTarget& target) {
  if (adapter.source == Adapter::Source::kMlx)
    return {adapter.num_layers.value_or(-1), adapter.keys};
  const ModuleSet set = module_set(adapter);
  const auto blocks = static_cast<std::int64_t>(set.layers.size());
  Selection chosen;
  // "The last num_layers blocks" can be said only by who knows how many there are.
  const bool last_blocks = target.base && blocks > 0 && set.same_in_all &&
                           set.layers.back() == target.base->num_hidden_layers - 1 &&
                           set.layers.back() - set.layers.front() == blocks - 1;
  if (last_blocks) {
    chosen.num_layers = set.layers.front() == 0 ? -1 : blocks;
    chosen.keys = set.names;
    chosen.keys.insert(chosen.keys.end(), set.outer.begin(), set.outer.end());
  } else {
    for (const AdapterModule& module : adapter.modules) chosen.keys.push_back(module.path);
  }
  return chosen;
}

void pad_rank(AdapterModule& module, std::int64_t rank) {
  if (module.rank == rank) return;
  module.a.resize(static_cast<std::size_t>(rank * module.in_features), 0.0f);
  std::vector<float> b(static_cast<std::size_t>(module.out_features * rank), 0.0f);
  for (std::int64_t row = 0; row < module.out_features; ++row)
    std::copy_n(module.b.begin() + row * module.rank, module.rank, b.begin() + row * rank);
  module.b = std::move(b);
  module.rank = rank;
}

std::string config_json(const Adapter& adapter, const Selection& chosen, std::int64_t rank,
                        float scale) {
  nlohmann::json parameters = {{"rank", rank}, {"scale", shortest_json(scale)}, {"dropout", 0.0}};
  if (!chosen.keys.empty()) parameters["keys"] = chosen.keys;
  nlohmann::json config = {{"fine_tune_type", adapter.dora ? "dora" : "lora"},
                           {"num_layers", chosen.num_layers},
                           {"lora_parameters", std::move(parameters)}};
  if (!adapter.base_name.empty()) config["model"] = adapter.base_name;
  return config.dump(4) + "\n";
}

}  // namespace

Result<AdapterWritten> write_mlx_adapter(Adapter& adapter, const AdapterTarget& target) {
  const Selection chosen = selection(adapter, target);
  const float scale = common_scale(adapter.modules);
  std::int64_t rank = 0;
  for (const AdapterModule& module : adapter.modules) rank = std::max(rank, module.rank);
  std::int64_t folded = 0;
  std::vector<MatrixToWrite> matrices;
  for (AdapterModule& module : adapter.modules) {
    pad_rank(module, rank);
    // DoRA's row norms hold scale * B A, whose value the fold keeps.
    if (scale != 0.0f)
      multiply_b(module, static_cast<double>(module.scale) / static_cast<double>(scale), folded);
    matrices.push_back({.name = module.path + ".lora_a",
                        .dtype = module.dtype,
                        .rows = rank,
                        .cols = module.in_features,
                        .transposed = true,
                        .values = &module.a});
    matrices.push_back({.name = module.path + ".lora_b",
                        .dtype = module.dtype,
                        .rows = module.out_features,
                        .cols = rank,
                        .transposed = true,
                        .values = &module.b});
    if (adapter.dora)
      matrices.push_back(
          {.name = module.path + ".m", .rows = module.out_features, .values = &module.magnitude});
  }
  BOBBY_TRY(OutputFolder output, OutputFolder::create(target.path));
  BOBBY_CHECK(
      write_matrices(output.path() / "adapters.safetensors", matrices, {{"format", "mlx"}}));
  BOBBY_CHECK(output.write_text("adapter_config.json", config_json(adapter, chosen, rank, scale)));
  if (target.voice_json) BOBBY_CHECK(output.write_text("voice.json", *target.voice_json));
  BOBBY_CHECK(output.commit());
  AdapterWritten written{.modules = static_cast<std::int64_t>(adapter.modules.size()),
                         .inexact = {}};
  if (folded > 0) written.inexact.push_back(folded_sentence(folded));
  return written;
}

}  // namespace bobby
