#include <nlohmann/json.hpp>

#include "training/config.h"

namespace bobby {
namespace {

using Json = nlohmann::json;

Json lora_parameters(const LoraParameters& lora) {
  Json json = {{"rank", lora.rank}, {"scale", lora.scale}, {"dropout", lora.dropout}};
  if (lora.keys) json["keys"] = *lora.keys;
  return json;
}

Json adam_options(const AdamOptions& adam, bool decoupled_weight_decay) {
  Json json = {{"betas", {adam.beta_1, adam.beta_2}},
               {"eps", adam.eps},
               {"bias_correction", adam.bias_correction}};
  if (decoupled_weight_decay) json["weight_decay"] = adam.weight_decay;
  return json;
}

Json adafactor_options(const AdafactorOptions& adafactor) {
  Json json = {
      {"eps", {adafactor.eps_1, adafactor.eps_2}},    {"clip_threshold", adafactor.clip_threshold},
      {"decay_rate", adafactor.decay_rate},           {"weight_decay", adafactor.weight_decay},
      {"scale_parameter", adafactor.scale_parameter}, {"relative_step", adafactor.relative_step},
      {"warmup_init", adafactor.warmup_init}};
  if (adafactor.beta_1) json["beta_1"] = *adafactor.beta_1;
  return json;
}

Json optimizer_options(const OptimizerConfig& config) {
  switch (config.kind) {
    case OptimizerKind::kAdam: return adam_options(config.adam, false);
    case OptimizerKind::kAdamW: return adam_options(config.adam, true);
    case OptimizerKind::kMuon:
      return {{"momentum", config.muon.momentum},
              {"weight_decay", config.muon.weight_decay},
              {"nesterov", config.muon.nesterov},
              {"ns_steps", config.muon.ns_steps}};
    case OptimizerKind::kSgd:
      return {{"momentum", config.sgd.momentum},
              {"weight_decay", config.sgd.weight_decay},
              {"dampening", config.sgd.dampening},
              {"nesterov", config.sgd.nesterov}};
    case OptimizerKind::kAdafactor: return adafactor_options(config.adafactor);
  }
  return Json::object();
}

// Step counts stay integers, as MLX wants them.
Json schedule_arguments(const ScheduleConfig& schedule) {
  Json json = Json::array();
  for (const double argument : schedule.arguments) {
    const auto whole = static_cast<std::int64_t>(argument);
    if (argument >= 1 && argument < 1e15 && static_cast<double>(whole) == argument)
      json.push_back(whole);
    else
      json.push_back(argument);
  }
  return json;
}

Json lr_schedule(const std::optional<ScheduleConfig>& schedule) {
  if (!schedule) return nullptr;
  Json json = {{"name", schedule_name(schedule->kind)},
               {"arguments", schedule_arguments(*schedule)}};
  if (schedule->warmup > 0) {
    json["warmup"] = schedule->warmup;
    json["warmup_init"] = schedule->warmup_init;
  }
  return json;
}

}  // namespace

std::string mlx_lm_arguments(const TrainingConfig& config) {
  const std::string optimizer(optimizer_name(config.optimizer.kind));
  Json json = {
      {"model", config.model},
      {"train", config.train},
      {"fine_tune_type", config.fine_tune_type == FineTuneType::kDora ? "dora" : "lora"},
      {"optimizer", optimizer},
      {"optimizer_config", {{optimizer, optimizer_options(config.optimizer)}}},
      {"data", config.data},
      {"seed", config.seed},
      {"num_layers", config.num_layers},
      {"batch_size", config.batch_size},
      {"iters", config.iters},
      {"val_batches", config.val_batches},
      {"learning_rate", config.learning_rate},
      {"steps_per_report", config.steps_per_report},
      {"steps_per_eval", config.steps_per_eval},
      {"resume_adapter_file", nullptr},
      {"adapter_path", config.adapter_path.string()},
      {"save_every", config.save_every},
      {"test", config.test},
      {"test_batches", config.test_batches},
      {"max_seq_length", config.max_seq_length},
      {"config", nullptr},
      {"grad_checkpoint", config.grad_checkpoint},
      {"grad_accumulation_steps", config.grad_accumulation_steps},
      {"clear_cache_threshold", 0},
      {"lr_schedule", lr_schedule(config.lr_schedule)},
      {"lora_parameters", lora_parameters(config.lora)},
      {"mask_prompt", config.mask_prompt},
      {"report_to", nullptr},
      {"project_name", nullptr},
      {"trust_remote_code", false},
      {"prompt_feature", config.features.prompt},
      {"completion_feature", config.features.completion},
      {"text_feature", config.features.text},
      {"chat_feature", config.features.chat},
  };
  if (config.resume_adapter_file)
    json["resume_adapter_file"] = config.resume_adapter_file->string();
  if (!config.config_file.empty()) json["config"] = config.config_file;
  return json.dump(4, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace bobby
