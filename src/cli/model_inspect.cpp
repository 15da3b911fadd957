// bobby model inspect: what a model folder holds, from its headers alone.

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "app/obtain.h"
#include "base/safetensors_error.h"
#include "cli/command.h"
#include "cli/pull_view.h"
#include "model/config.h"
#include "safetensors/safetensors.h"

namespace bobby::cli {
namespace {

// Modules of one kind ("model.layers.*.mlp.down_proj") over all layers.
struct Kind {
  std::int64_t modules = 0;
  std::uint64_t bytes = 0;
  std::set<std::string> formats;
};

// "model.layers.3.mlp.up_proj" → "model.layers.*.mlp.up_proj"
std::string kind_of(const std::string& path) {
  const auto begin = path.find("layers.");
  if (begin == std::string::npos) return path;
  const auto number = begin + 7;
  auto end = number;
  while (end < path.size() && path[end] >= '0' && path[end] <= '9') ++end;
  return fmt::format("{}*{}", path.substr(0, number), path.substr(end));
}

// The mode whose words and scales are of one number of columns.
std::string float_mode_of(const safetensors::Tensor& weight, const safetensors::Tensor& scales) {
  if (weight.shape.size() == 2 && scales.shape.size() == 2)
    for (const FloatMode& mode : float_modes())
      if (weight.shape[1] / static_cast<std::uint64_t>(mode.bits * mode.group_size / 32) ==
          scales.shape[1])
        return std::string(mode.name);
  return "quantised, mode unknown";
}

std::string format_of(const safetensors::Checkpoint& checkpoint, const ModelConfig& config,
                      const std::string& path, const safetensors::Tensor& weight) {
  const safetensors::Tensor* scales = checkpoint.find(path + ".scales");
  if (scales == nullptr) return std::string(safetensors::dtype_name(weight.dtype));
  if (scales->dtype == safetensors::DType::kU8) return float_mode_of(weight, *scales);
  auto entry = config.quantization;
  if (const auto own = config.quantization_by_path.find(path);
      own != config.quantization_by_path.end() && own->second)
    entry = own->second;
  if (!entry || entry->mode != QuantizationMode::kAffine) return "quantised, format by shapes";
  return fmt::format("{}-bit, groups of {}, {}", entry->bits, entry->group_size,
                     safetensors::dtype_name(scales->dtype));
}

std::map<std::string, Kind> kinds_of(const safetensors::Checkpoint& checkpoint,
                                     const ModelConfig& config) {
  std::map<std::string, Kind> kinds;
  for (const safetensors::Tensor* tensor : checkpoint.tensors()) {
    const auto dot = tensor->name.rfind('.');
    const std::string path = tensor->name.substr(0, dot);
    Kind& kind = kinds[kind_of(path)];
    kind.bytes += tensor->byte_size();
    if (dot == std::string::npos || tensor->name.substr(dot) != ".weight") continue;
    ++kind.modules;
    kind.formats.insert(format_of(checkpoint, config, path, *tensor));
  }
  return kinds;
}

nlohmann::ordered_json config_json(const ModelConfig& config) {
  return {{"model_type", config.model_type},
          {"num_hidden_layers", config.num_hidden_layers},
          {"hidden_size", config.hidden_size},
          {"intermediate_size", config.intermediate_size},
          {"num_attention_heads", config.num_attention_heads},
          {"num_key_value_heads", config.num_key_value_heads},
          {"head_dim", config.head_dim},
          {"vocab_size", config.vocab_size},
          {"max_position_embeddings", config.max_position_embeddings},
          {"rope_theta", config.rope_theta},
          {"tie_word_embeddings", config.tie_word_embeddings},
          {"eos_token_id", config.eos_token_id}};
}

std::uint64_t kv_bytes_a_token(const ModelConfig& config) {
  return static_cast<std::uint64_t>(config.num_hidden_layers * config.num_key_value_heads *
                                    config.head_dim * 2 * 2);
}

Result<int> run(const Invocation& invocation) {
  const Settings& settings = invocation.settings;
  Console& console = invocation.console;
  BOBBY_TRY(const auto folder,
            obtain_model(invocation.arguments.empty() ? settings.text(Opt::kModel)
                                                      : invocation.arguments.front(),
                         settings, pull_view(console, settings)));
  BOBBY_TRY(const ModelConfig config, ModelConfig::load(folder));
  const auto checkpoint = safetensors::Checkpoint::open(folder);
  if (!checkpoint) return fail(to_error(checkpoint.error()));
  const auto kinds = kinds_of(*checkpoint, config);
  std::error_code status;
  const bool has_tokenizer = std::filesystem::exists(folder / "tokenizer.json", status);

  nlohmann::ordered_json object = {{"folder", folder.string()}, {"config", config_json(config)}};
  object["files"] = checkpoint->files().size();
  object["tensors"] = checkpoint->tensors().size();
  object["bytes"] = checkpoint->byte_size();
  object["kv_bytes_a_token"] = kv_bytes_a_token(config);
  object["tokenizer"] = has_tokenizer;
  for (const auto& [name, kind] : kinds)
    object["modules"].push_back({{"name", name},
                                 {"count", kind.modules},
                                 {"formats", kind.formats},
                                 {"bytes", kind.bytes}});
  if (console.json()) {
    console.print_json(object);
    return kDone;
  }
  console.print(fmt::format("{:<26}{}", "folder", folder.string()));
  for (const auto& [key, value] : object["config"].items())
    console.print(
        fmt::format("{:<26}{}", key, value.is_string() ? value.get<std::string>() : value.dump()));
  console.print(fmt::format("{:<26}{} in {} files, {:.3f} GB", "tensors",
                            checkpoint->tensors().size(), checkpoint->files().size(),
                            static_cast<double>(checkpoint->byte_size()) / 1e9));
  console.print(
      fmt::format("{:<26}{} bytes a token in float16", "KV cache", kv_bytes_a_token(config)));
  console.print(fmt::format("{:<26}{}", "tokenizer", has_tokenizer ? "yes" : "none"));
  console.print(fmt::format("\n{:<44}{:>6}{:>12}  {}", "module", "count", "MB", "format"));
  for (const auto& [name, kind] : kinds)
    console.print(fmt::format("{:<44}{:>6}{:>12.2f}  {}", name, kind.modules,
                              static_cast<double>(kind.bytes) / 1e6,
                              fmt::format("{}", fmt::join(kind.formats, "; "))));
  return kDone;
}

constexpr Argument kArguments[] = {{"MODEL", false, "The model, in place of --model"}};
constexpr Example kExamples[] = {
    {"bobby model inspect", "the demo model"},
    {"bobby model inspect ./Qwen3-8B-MLX-4bit --json", "sizes and formats, for a script"},
};

}  // namespace

const Command kModelInspect = {
    .group = "model",
    .name = "inspect",
    .summary = "show a model's architecture, sizes and formats",
    .description =
        "Reads a model folder's config and tensor headers and shows its architecture, the format "
        "and bytes of each kind of module, and what the KV cache takes.",
    .arguments = kArguments,
    .options = {},
    .examples = kExamples,
    .run = run,
};

}  // namespace bobby::cli
