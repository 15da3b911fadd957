#include "lora/adapter.h"

#include <algorithm>

#include "base/safetensors_error.h"
#include "base/sha256.h"
#include "gguf/names.h"
#include "lora/adapter_reader.h"
#include "lora/block_path.h"
#include "lora/gguf_adapter.h"

namespace bobby {

namespace {

bool contains(const std::vector<std::string>& names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

/// PEFT's rule: the whole path, or its end after a dot.
bool matches_ending(const std::vector<std::string>& names, std::string_view path) {
  return std::any_of(names.begin(), names.end(), [&](const std::string& name) {
    return path == name || path.ends_with("." + name);
  });
}

/// mlx-lm's linear_to_lora_layers(): keys name modules inside the last num_layers blocks, or whole
/// paths anywhere; without keys, every linear layer of those blocks.
bool mlx_targets(const Adapter& adapter, std::string_view path, std::int64_t num_hidden_layers) {
  if (contains(adapter.keys, path)) return true;
  const BlockPath block = block_path(path);
  if (!block.layer) return false;
  const std::int64_t count = adapter.num_layers.value_or(0);
  if (count > 0 && *block.layer < num_hidden_layers - count) return false;
  return adapter.keys.empty() || contains(adapter.keys, block.rest);
}

/// PEFT's check_target_module_exists().
bool peft_targets(const Adapter& adapter, std::string_view path) {
  if (matches_ending(adapter.exclude_modules, path)) return false;
  const BlockPath block = block_path(path);
  if (adapter.target_modules == std::vector<std::string>{"all-linear"}) {
    if (!block.layer) return false;  // neither the embedding nor the head
  } else if (!matches_ending(adapter.target_modules, path)) {
    return false;
  }
  // A whole path in target_modules is taken whatever its layer.
  if (adapter.layers_to_transform.empty() || contains(adapter.target_modules, path)) return true;
  const auto& layers = adapter.layers_to_transform;
  return block.layer && std::find(layers.begin(), layers.end(), *block.layer) != layers.end();
}

Result<Adapter> read_adapter(const std::filesystem::path& folder) {
  BOBBY_TRY(const nlohmann::json json, read_json_object(folder / "adapter_config.json"));
  const bool peft = json.contains("peft_type");
  const std::filesystem::path path =
      folder / (peft ? "adapter_model.safetensors" : "adapters.safetensors");
  auto file = safetensors::File::open(path);
  if (!file) return fail(to_error(file.error()));

  Adapter adapter;
  adapter.folder = folder;
  std::vector<Error> problems;
  JsonObject config(json, "adapter_config.json", problems);
  AdapterReader reader(*file, problems);
  if (peft)
    read_peft_adapter(config, reader, adapter);
  else
    read_mlx_adapter(config, reader, adapter);
  if (problems.empty() && adapter.modules.empty())
    problems.push_back({.code = ErrorCode::kMismatch,
                        .where = path.filename().string(),
                        .problem = "holds no adapted module"});
  if (!problems.empty()) return fail(join_errors(std::move(problems)));
  BOBBY_TRY(adapter.sha256, sha256_file(path));
  return adapter;
}

}  // namespace

std::int64_t Adapter::parameter_count() const {
  std::int64_t count = 0;
  for (const AdapterModule& module : modules)
    count += static_cast<std::int64_t>(module.a.size() + module.b.size() + module.magnitude.size());
  return count;
}

bool Adapter::targets(std::string_view path, std::int64_t num_hidden_layers) const {
  switch (source) {
    case Source::kMlx: return mlx_targets(*this, path, num_hidden_layers);
    case Source::kPeft: return peft_targets(*this, path);
    case Source::kGguf: break;  // what it adapts is what it holds
  }
  return std::any_of(modules.begin(), modules.end(),
                     [&](const AdapterModule& module) { return module.path == path; });
}

bool Adapter::may_adapt(std::string_view model_type) const {
  return architecture.empty() || gguf_architecture(model_type) == architecture;
}

std::string_view source_name(Adapter::Source source) {
  switch (source) {
    case Adapter::Source::kMlx: return "mlx";
    case Adapter::Source::kPeft: return "peft";
    case Adapter::Source::kGguf: break;
  }
  return "gguf";
}

Result<Adapter> load_adapter(const std::filesystem::path& path) {
  std::error_code code;
  if (std::filesystem::is_regular_file(path, code)) return read_gguf_adapter(path);
  if (!std::filesystem::is_directory(path, code))
    return fail({.code = ErrorCode::kNotFound,
                 .where = path.string(),
                 .problem = "there is no such folder",
                 .hint = "an adapter is a folder with adapter_config.json and its tensors, or a "
                         "GGUF file"});
  auto adapter = read_adapter(path);
  if (!adapter) return fail(std::move(adapter).error().in(path.string()));
  return adapter;
}

}  // namespace bobby
