#include "training/config_reader.h"

#include <array>
#include <cctype>
#include <fmt/format.h>
#include <limits>
#include <utility>

#include "base/nearest_name.h"
#include "voice/prompt_form.h"

namespace bobby {
namespace {

constexpr std::int64_t kMost = std::numeric_limits<std::int64_t>::max();
constexpr std::int64_t kMostTokens = 1 << 24;
constexpr std::int64_t kMostRank = 1 << 16;

constexpr YamlRange at_least(double least) {
  return {.least = least};
}

constexpr YamlRange above(double least) {
  return {.least = least, .least_open = true};
}

// One of several words; the first is the fallback.
template <typename T, std::size_t N>
T word(YamlMapping& root, std::string_view key,
       const std::array<std::pair<std::string_view, T>, N>& words) {
  const std::string text = root.string(key, std::string(words.front().first));
  std::string expected;
  for (const auto& [name, value] : words) {
    if (name == text) return value;
    expected += (expected.empty() ? "" : ", ") + std::string(name);
  }
  root.wrong(key, "is not one of the words it can be", expected);
  return words.front().second;
}

FineTuneType read_fine_tune_type(YamlMapping& root) {
  if (root.string("fine_tune_type", "lora") == "full") {
    root.report("fine_tune_type", "asks for training of the whole model, which is not done here",
                "lora or dora", "full");
    return FineTuneType::kLora;
  }
  return word<FineTuneType, 2>(root, "fine_tune_type",
                               {{{"lora", FineTuneType::kLora}, {"dora", FineTuneType::kDora}}});
}

LoraParameters read_lora(YamlMapping& root) {
  LoraParameters lora;
  auto mapping = root.mapping("lora_parameters");
  if (!mapping) return lora;
  lora.rank = mapping->integer("rank", 1, kMostRank, lora.rank);
  lora.scale = mapping->number("scale", {}, lora.scale);
  lora.dropout = mapping->number("dropout", {.least = 0, .most = 1, .most_open = true}, 0);
  lora.keys = mapping->strings("keys");
  if (lora.keys && lora.keys->empty())
    mapping->report("keys", "names no module", "a list of names such as self_attn.q_proj");
  const bool alpha = mapping->contains("alpha");
  if (alpha)
    mapping->report("alpha", "is no key of mlx-lm's", "scale", "alpha",
                    "write 'scale: alpha / rank'");
  // mlx-lm replaces all of lora_parameters, and then misses what is not there.
  for (const std::string_view needed : {"rank", "scale"})
    if (!mapping->contains(needed) && !(alpha && needed == "scale"))
      mapping->report(needed, "is missing from lora_parameters");
  mapping->refuse_other_keys();
  return lora;
}

std::optional<ScheduleConfig> read_schedule(YamlMapping& root) {
  auto mapping = root.mapping("lr_schedule");
  if (!mapping) return std::nullopt;
  ScheduleConfig schedule;
  const std::string name = mapping->string("name", "");
  const auto kind = find_schedule(name);
  if (!kind)
    mapping->report("name", "is not a schedule",
                    "exponential_decay, step_decay, cosine_decay or linear_schedule",
                    name.empty() ? "nothing" : name);
  schedule.kind = kind.value_or(schedule.kind);
  auto arguments = mapping->numbers("arguments");
  if (!arguments && !mapping->contains("arguments"))
    mapping->report("arguments", "is missing from lr_schedule");
  schedule.warmup = mapping->integer("warmup", 0, kMost, 0);
  schedule.warmup_init = mapping->number("warmup_init", {}, 0);
  mapping->refuse_other_keys();
  if (!kind || !arguments) return std::nullopt;
  schedule.arguments = *std::move(arguments);
  if (const std::string problem = check_schedule(schedule); !problem.empty()) {
    mapping->report("arguments", fmt::format("do not fit: {} {}", name, problem));
    return std::nullopt;
  }
  return schedule;
}

void read_run(YamlMapping& root, TrainingConfig& config) {
  config.batch_size = root.integer("batch_size", 1, 1 << 20, config.batch_size);
  config.iters = root.integer("iters", 1, kMost, config.iters);
  config.grad_accumulation_steps = root.integer("grad_accumulation_steps", 1, 1 << 20, 1);
  config.max_seq_length = root.integer("max_seq_length", 2, kMostTokens, config.max_seq_length);
  config.mask_prompt = root.boolean("mask_prompt", config.mask_prompt);
  config.grad_checkpoint = root.boolean("grad_checkpoint", config.grad_checkpoint);
  config.val_batches = root.integer("val_batches", -1, kMost, config.val_batches);
  config.test_batches = root.integer("test_batches", -1, kMost, config.test_batches);
  config.steps_per_report = root.integer("steps_per_report", 1, kMost, config.steps_per_report);
  config.steps_per_eval = root.integer("steps_per_eval", 1, kMost, config.steps_per_eval);
  config.save_every = root.integer("save_every", 1, kMost, config.save_every);
  const std::int64_t most_seed =
      config.compat_mlx ? std::numeric_limits<std::uint32_t>::max() : kMost;  // numpy's limit
  config.seed = static_cast<std::uint64_t>(root.integer("seed", 0, most_seed, 0));
  config.learning_rate = root.number("learning_rate", at_least(0), config.learning_rate);
  config.lr_schedule = read_schedule(root);
}

void read_files(YamlMapping& root, TrainingConfig& config) {
  config.model = root.string("model", "");
  config.data = root.string("data", "");
  config.adapter_path = root.string("adapter_path", "adapters");
  if (root.contains("resume_adapter_file"))
    config.resume_adapter_file = root.string("resume_adapter_file", "");
  config.features.prompt = root.string("prompt_feature", config.features.prompt);
  config.features.completion = root.string("completion_feature", config.features.completion);
  config.features.text = root.string("text_feature", config.features.text);
  config.features.chat = root.string("chat_feature", config.features.chat);
  if (root.contains("hf_dataset"))
    root.report("hf_dataset", "names a data set of a hub, and nothing is downloaded here", {}, {},
                "write train.jsonl and valid.jsonl into a folder and name it with 'data'");
}

SampleSettings read_samples(YamlMapping& mapping) {
  SampleSettings samples;
  samples.prompts = mapping.strings("prompts").value_or(samples.prompts);
  if (samples.prompts.empty()) mapping.report("prompts", "names no prompt", "a list of texts");
  samples.count = mapping.integer("count", 1, 64, samples.count);
  samples.max_tokens = mapping.integer("max_tokens", 1, 4096, samples.max_tokens);
  samples.temperature =
      mapping.number("temperature", {.least = 0, .most = 10}, samples.temperature);
  samples.top_p =
      mapping.number("top_p", {.least = 0, .most = 1, .least_open = true}, samples.top_p);
  samples.seed = static_cast<std::uint64_t>(mapping.integer("seed", 0, kMost, 0));
  mapping.refuse_other_keys();
  return samples;
}

void read_prompt_form(YamlMapping& root, TrainingConfig& config) {
  if (!root.contains("prompt_form")) return;
  config.prompt_form = root.string("prompt_form", "raw");
  if (const auto form = find_prompt_form(*config.prompt_form); !form)
    root.report("prompt_form", "is not known", form.error().expected, *config.prompt_form,
                form.error().hint);
}

void read_ours(YamlMapping& root, TrainingConfig& config) {
  if (root.contains("epochs")) {
    config.epochs = root.integer("epochs", 1, 1 << 20, 1);
    if (root.contains("iters"))
      root.report("epochs", "stands beside 'iters'", {}, {}, "keep one of the two");
  }
  config.packing = root.boolean("packing", config.packing);
  config.pack_tokens = root.integer("pack_tokens", 0, kMostTokens, 0);
  if (root.contains("max_grad_norm"))
    config.max_grad_norm = root.number("max_grad_norm", above(0), 1);
  if (auto stopping = root.mapping("early_stopping")) {
    EarlyStopping early;
    early.patience = stopping->integer("patience", 1, kMost, early.patience);
    early.min_delta = stopping->number("min_delta", at_least(0), early.min_delta);
    stopping->refuse_other_keys();
    config.early_stopping = early;
  }
  if (auto samples = root.mapping("samples")) config.samples = read_samples(*samples);
  config.over_long = word<OverLong, 3>(root, "over_long",
                                       {{{"truncate", OverLong::kTruncate},
                                         {"drop", OverLong::kDrop},
                                         {"split", OverLong::kSplit}}});
  read_prompt_form(root, config);
  config.cache_inputs = root.boolean("cache_inputs", config.cache_inputs);
  config.keep_checkpoints = root.integer("keep_checkpoints", 0, kMost, 0);
}

// What would make another run of it than mlx-lm's.
void refuse_beside_compat(YamlMapping& root, const TrainingConfig& config) {
  const auto refuse = [&](std::string_view key) {
    root.report(key, "changes what mlx-lm would do, which 'compat: mlx' asks for", {}, {},
                "take one of the two out");
  };
  if (config.max_grad_norm) refuse("max_grad_norm");
  if (config.prompt_form) refuse("prompt_form");
  if (config.over_long != OverLong::kTruncate) refuse("over_long");
}

void read_without_effect(YamlMapping& root, TrainingConfig& config) {
  const auto note = [&](std::string_view key, std::string_view why) {
    config.notes.push_back(fmt::format("'{}' has no effect: {}", key, why));
  };
  if (root.contains("report_to"))
    note("report_to", "metrics are written beside the adapter, as JSON lines, CSV and TensorBoard");
  if (root.contains("project_name")) note("project_name", "it belongs to report_to");
  if (root.contains("clear_cache_threshold"))
    note("clear_cache_threshold", "there is no allocator cache to clear");
  if (root.boolean("trust_remote_code", false))
    note("trust_remote_code", "no code of a model is ever run");
  if (root.contains("config")) note("config", "a config file does not name another");
}

}  // namespace

TrainingConfig read_config_keys(YamlMapping& root) {
  TrainingConfig config;
  if (root.contains("compat")) {
    config.compat_mlx = root.string("compat", "mlx") == "mlx";
    if (!config.compat_mlx) root.wrong("compat", "is not known", "mlx, or no such key");
  }
  read_files(root, config);
  config.train = root.boolean("train", config.train);
  config.test = root.boolean("test", config.test);
  config.fine_tune_type = read_fine_tune_type(root);
  config.num_layers = root.integer("num_layers", -kMostRank, kMostRank, config.num_layers);
  config.lora = read_lora(root);
  config.optimizer = read_optimizer(root, config.compat_mlx);
  read_run(root, config);
  read_ours(root, config);
  if (config.compat_mlx) refuse_beside_compat(root, config);
  read_without_effect(root, config);
  root.refuse_other_keys();
  return config;
}

}  // namespace bobby
