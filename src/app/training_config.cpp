#include "app/training_config.h"

#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <string>

namespace bobby {
namespace {

// A flag that stands in for a key of the config.
struct Override {
  Opt id;
  void (*apply)(TrainingConfig& config, const std::string& value);
};

constexpr Override kOverrides[] = {
    {Opt::kTrainData,
     [](TrainingConfig& config, const std::string& value) { config.data = value; }},
    {Opt::kAdapterPath,
     [](TrainingConfig& config, const std::string& value) { config.adapter_path = value; }},
    {Opt::kIters,
     [](TrainingConfig& config, const std::string& value) {
       config.iters = integer_value(value);
       config.epochs.reset();
     }},
    {Opt::kEpochs, [](TrainingConfig& config,
                      const std::string& value) { config.epochs = integer_value(value); }},
    {Opt::kBatchSize, [](TrainingConfig& config,
                         const std::string& value) { config.batch_size = integer_value(value); }},
    {Opt::kGradAccumulation,
     [](TrainingConfig& config, const std::string& value) {
       config.grad_accumulation_steps = integer_value(value);
     }},
    {Opt::kLearningRate,
     [](TrainingConfig& config, const std::string& value) {
       config.learning_rate = number_value(value);
     }},
    {Opt::kNumLayers, [](TrainingConfig& config,
                         const std::string& value) { config.num_layers = integer_value(value); }},
    {Opt::kMaxSeqLength,
     [](TrainingConfig& config, const std::string& value) {
       config.max_seq_length = integer_value(value);
     }},
    {Opt::kStepsPerReport,
     [](TrainingConfig& config, const std::string& value) {
       config.steps_per_report = integer_value(value);
     }},
    {Opt::kStepsPerEval,
     [](TrainingConfig& config, const std::string& value) {
       config.steps_per_eval = integer_value(value);
     }},
    {Opt::kSaveEvery, [](TrainingConfig& config,
                         const std::string& value) { config.save_every = integer_value(value); }},
    {Opt::kValBatches, [](TrainingConfig& config,
                          const std::string& value) { config.val_batches = integer_value(value); }},
    {Opt::kTrainSeed,
     [](TrainingConfig& config, const std::string& value) {
       config.seed = static_cast<std::uint64_t>(integer_value(value));
     }},
};

Result<std::string> read_text(const std::string& file) {
  std::ifstream stream(file, std::ios::binary);
  std::string text((std::istreambuf_iterator<char>(stream)), {});
  if (!stream) return fail({.code = ErrorCode::kIo, .where = file, .problem = "cannot be read"});
  return text;
}

bool is_flag(const Setting& setting) {
  return setting.origin.starts_with("--") || setting.origin.starts_with("-");
}

void put_overrides(const nlohmann::json& overrides, TrainingConfig& config) {
  for (const Override& known : kOverrides) {
    const auto found = overrides.find(option(known.id).name);
    if (found != overrides.end() && found->is_string())
      known.apply(config, found->get<std::string>());
  }
  const auto model = overrides.find("model");
  if (model != overrides.end() && model->is_string()) config.model = model->get<std::string>();
}

}  // namespace

Result<RunIdentity> read_run_config(const Settings& settings, const RunIdentity* saved,
                                    TrainingConfig& config) {
  RunIdentity identity;
  nlohmann::json overrides = nlohmann::json::object();
  if (settings.given(Opt::kTrainConfig)) {
    const std::string& file = settings.text(Opt::kTrainConfig);
    BOBBY_TRY(config, read_training_config(file));
    BOBBY_TRY(identity.config_yaml, read_text(file));
  } else if (saved != nullptr) {
    identity.config_yaml = saved->config_yaml;
    BOBBY_TRY(config, parse_training_config(saved->config_yaml, "the run's config"));
    overrides = nlohmann::json::parse(saved->overrides, nullptr, /*allow_exceptions=*/false);
    if (!overrides.is_object()) overrides = nlohmann::json::object();
  } else if (!settings.given(Opt::kTrainData)) {
    return fail({.code = ErrorCode::kUsage,
                 .where = "--config",
                 .problem = "is missing",
                 .hint = "`bobby train --help` has examples"});
  }
  if (settings.given(Opt::kIters)) overrides.erase("epochs");
  if (settings.given(Opt::kEpochs)) overrides.erase("iters");
  for (const Override& known : kOverrides)
    if (settings.given(known.id))
      overrides[std::string(option(known.id).name)] = settings.text(known.id);
  if (is_flag(settings.setting(Opt::kModel))) overrides["model"] = settings.text(Opt::kModel);
  put_overrides(overrides, config);
  if (!config.train)
    return fail({.code = ErrorCode::kUsage,
                 .where = "train: false",
                 .problem = "leaves nothing to do",
                 .hint = "`test: true` is the loss on test.jsonl at the end of a training"});
  if (config.model.empty()) config.model = settings.text(Opt::kModel);
  if (config.data.empty())
    return fail(
        {.code = ErrorCode::kUsage,
         .where = settings.given(Opt::kTrainConfig) ? settings.text(Opt::kTrainConfig) : "--data",
         .problem = "names no data",
         .hint = "`data` is the folder with train.jsonl and valid.jsonl"});
  identity.overrides = overrides.dump();
  return identity;
}

}  // namespace bobby
