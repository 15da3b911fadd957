#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "training/optimizer.h"
#include "training/schedule.h"

namespace bobby {

enum class FineTuneType : std::uint8_t { kLora, kDora };

/// What becomes of a record of more than max_seq_length tokens.
enum class OverLong : std::uint8_t {
  kTruncate,  ///< the end is cut off, as mlx-lm does
  kDrop,      ///< it is left out, and counted
  kSplit,     ///< it becomes several examples; every token is trained once
};

/// lora_parameters.
struct LoraParameters {
  std::int64_t rank = 8;
  double scale = 20;
  double dropout = 0;
  std::optional<std::vector<std::string>> keys;  ///< unset: every linear of the blocks
  bool operator==(const LoraParameters&) const = default;
};

/// early_stopping (ours).
struct EarlyStopping {
  std::int64_t patience = 3;  ///< validations in a row without a better loss
  double min_delta = 0;       ///< a loss is better when lower by more than this
  bool operator==(const EarlyStopping&) const = default;
};

/// samples (ours): posts written at each validation, always with the same seeds.
struct SampleSettings {
  std::vector<std::string> prompts;
  std::int64_t count = 1;  ///< posts a prompt
  std::int64_t max_tokens = 120;
  double temperature = 0.7;
  double top_p = 0.9;
  std::uint64_t seed = 0;
  bool operator==(const SampleSettings&) const = default;
};

/// The keys that name a record's fields (prompt_feature and so on).
struct FeatureNames {
  std::string prompt = "prompt";
  std::string completion = "completion";
  std::string text = "text";
  std::string chat = "messages";
  bool operator==(const FeatureNames&) const = default;
};

/// A training run as its YAML file asks for it: mlx_lm.lora's keys with mlx-lm 0.32.2's defaults,
/// then ours. docs/guides/training-config.md is the table of all keys.
struct TrainingConfig {
  std::string model;  ///< "" when the file names none
  std::string data;   ///< "" when the file names none
  bool train = true;
  bool test = false;
  FineTuneType fine_tune_type = FineTuneType::kLora;
  std::int64_t num_layers = 16;  ///< the last so many blocks; <= 0: all
  LoraParameters lora;
  OptimizerConfig
      optimizer;  ///< adam under compat, else bias-corrected adamw, unless the file says
  double learning_rate = 1e-5;
  std::optional<ScheduleConfig> lr_schedule;  ///< then learning_rate is not used
  std::int64_t batch_size = 4;
  std::int64_t iters = 1000;
  std::int64_t grad_accumulation_steps = 1;
  std::int64_t max_seq_length = 2048;
  bool mask_prompt = false;
  bool grad_checkpoint = false;
  std::int64_t val_batches = 25;  ///< -1: the whole validation set
  std::int64_t test_batches = 500;
  std::int64_t steps_per_report = 10;
  std::int64_t steps_per_eval = 200;
  std::int64_t save_every = 100;
  std::filesystem::path adapter_path = "adapters";
  std::optional<std::filesystem::path> resume_adapter_file;
  std::uint64_t seed = 0;
  FeatureNames features;
  std::string config_file;  ///< where this was read from; "" for a text

  bool compat_mlx = false;             ///< compat: mlx
  std::optional<std::int64_t> epochs;  ///< instead of iters: passes over the training set
  bool packing = true;
  std::int64_t pack_tokens = 0;  ///< tokens a pack; 0: chosen by the memory there is
  std::optional<double> max_grad_norm;
  std::optional<EarlyStopping> early_stopping;
  std::optional<SampleSettings> samples;
  OverLong over_long = OverLong::kTruncate;
  std::optional<std::string> prompt_form;  ///< unset: by the model's chat template
  bool cache_inputs = true;                ///< keep the first adapted layer's input over epochs
  std::int64_t keep_checkpoints = 0;       ///< numbered checkpoints kept; 0: all

  /// One sentence for each key that is read but has no effect here (report_to, ...).
  std::vector<std::string> notes;
};

/// Reads a config file of at most 1 MB. Wrong types, values out of range, keys that stand twice and
/// unknown keys (with the nearest name) come together in one Error, each with its line. Nothing in
/// a value is expanded; relative paths mean the working directory, as in mlx-lm.
Result<TrainingConfig> read_training_config(const std::filesystem::path& file);

/// The same for a text; `name` begins every message.
Result<TrainingConfig> parse_training_config(std::string_view yaml, const std::string& name);

/// The rate as the config asks for it.
LearningRate learning_rate_of(const TrainingConfig& config);

/// adapter_config.json as mlx_lm.lora would write it for this config: all of its arguments, sorted,
/// indented by 4.
std::string mlx_lm_arguments(const TrainingConfig& config);

}  // namespace bobby
