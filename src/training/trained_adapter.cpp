#include "training/trained_adapter.h"

#include <map>
#include <string>

#include "base/sha256.h"
#include "lora/transposed.h"

namespace bobby {

Adapter trained_adapter(const TrainingConfig& config, std::span<const TrainableTensor> tensors) {
  Adapter adapter;
  adapter.folder = config.adapter_path;
  adapter.dora = config.fine_tune_type == FineTuneType::kDora;
  adapter.scale = static_cast<float>(config.lora.scale);
  adapter.num_layers = config.num_layers;
  adapter.keys = config.lora.keys.value_or(std::vector<std::string>());
  std::map<std::string, AdapterModule> modules;
  Sha256 sum;
  for (const TrainableTensor& tensor : tensors) {
    const std::size_t dot = tensor.name.rfind('.');
    const std::string leaf = tensor.name.substr(dot + 1);
    AdapterModule& module = modules[tensor.name.substr(0, dot)];
    if (leaf == "lora_a") {
      module.rank = tensor.cols;
      module.in_features = tensor.rows;
      module.a = transposed(tensor.value, tensor.rows, tensor.cols);
    } else if (leaf == "lora_b") {
      module.out_features = tensor.cols;
      module.b = transposed(tensor.value, tensor.rows, tensor.cols);
    } else {
      module.magnitude = tensor.value;
    }
    sum.update(std::as_bytes(std::span(tensor.value)));
  }
  for (auto& [path, module] : modules) {
    module.path = path;
    module.scale = adapter.scale;
    adapter.modules.push_back(std::move(module));
  }
  adapter.sha256 = sum.hex_digest();
  return adapter;
}

LoraSettings lora_settings(const TrainingConfig& config) {
  return {.dora = config.fine_tune_type == FineTuneType::kDora,
          .rank = config.lora.rank,
          .scale = static_cast<float>(config.lora.scale),
          .dropout = static_cast<float>(config.lora.dropout),
          .num_layers = config.num_layers,
          .keys = config.lora.keys.value_or(std::vector<std::string>())};
}

}  // namespace bobby
