#include "server/api/openai_plan.h"

#include <chrono>
#include <fmt/format.h>
#include <random>
#include <span>

namespace bobby::server {
namespace {

/// `model` as adapters: none of it the server's own, the base's name the bare model, and
/// "base:voice" or "voice" an adapter. A `lora` list says which ones there are, beside that.
Result<std::vector<AdapterChoice>> choose_adapters(const Service& service,
                                                   const OpenAiRequest& request) {
  std::vector<AdapterChoice> choices;
  const std::string base = service.model + ":";
  if (request.model.empty()) {
    if (request.lora.empty()) choices = service.defaults.adapters;
  } else if (request.model != service.model) {
    const bool prefixed = request.model.starts_with(base);
    choices.push_back({prefixed ? request.model.substr(base.size()) : request.model, std::nullopt});
  }
  choices.insert(choices.end(), request.lora.begin(), request.lora.end());
  return choices;
}

/// What every run of the request has in common.
Result<GenerationRequest> common_run(Service& service, const OpenAiRequest& request,
                                     const std::vector<AdapterChoice>& choices) {
  GenerationRequest run;
  auto uses = find_adapters(*service.adapters, choices);
  if (!uses) {
    Error error = std::move(uses).error();
    // Those of `model` come first.
    const auto by_model = std::span(choices).first(choices.size() - request.lora.size());
    if (find_adapters(*service.adapters, {by_model.begin(), by_model.end()}))
      return fail(std::move(error).in("lora"));
    if (error.code == ErrorCode::kNotFound)
      error.hint +=
          fmt::format("{}the model is '{}'", error.hint.empty() ? "" : "; ", service.model);
    return fail(std::move(error));
  }
  run.adapters = *std::move(uses);
  run.samples = first_samples(static_cast<std::uint32_t>(request.n));
  run.max_tokens = request.max_tokens.value_or(service.defaults.post.max_tokens);
  run.sampling = merged(request.sampling, service.defaults.post.sampling);
  run.seed = request.seed.value_or(draw_seed());
  run.stop = request.stop;
  run.ignore_eos = request.ignore_eos;
  run.deadline = service.deadline();
  run.top_logprobs = request.top_logprobs.value_or(0);
  return run;
}

AnswerHead make_head(const Service& service, const OpenAiRequest& request, AnswerKind kind,
                     const LoadedModel& loaded) {
  return {.kind = kind,
          .id = make_answer_id(kind),
          .created = unix_seconds(),
          .model = request.model.empty() ? service.model : request.model,
          .fingerprint = service.fingerprint,
          .logprobs = request.top_logprobs.has_value(),
          .include_usage = request.stream && request.include_usage,
          .tokenizer = loaded.tokenizer};
}

}  // namespace

Sampling merged(const SamplingFields& fields, Sampling sampling) {
  const auto set = [](float& value, const std::optional<double>& field) {
    if (field) value = static_cast<float>(*field);
  };
  set(sampling.temperature, fields.temperature);
  set(sampling.top_p, fields.top_p);
  set(sampling.min_p, fields.min_p);
  set(sampling.repetition_penalty, fields.repetition_penalty);
  set(sampling.presence_penalty, fields.presence_penalty);
  set(sampling.frequency_penalty, fields.frequency_penalty);
  if (fields.top_k) sampling.top_k = *fields.top_k;
  if (!fields.logit_bias.empty()) sampling.logit_bias = fields.logit_bias;
  return sampling;
}

std::int64_t unix_seconds() {
  return std::chrono::duration_cast<std::chrono::seconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

std::uint64_t draw_seed() {
  return std::random_device()();
}

Result<OpenAiPlan> plan_chat(Service& service, const ChatRequest& request) {
  BOBBY_TRY(const auto loaded, service.loaded());
  BOBBY_TRY(const auto choices, choose_adapters(service, request));
  BOBBY_TRY(GenerationRequest run, common_run(service, request, choices));
  BOBBY_TRY(const Voice voice, service.adapters->voice(choices));
  BOBBY_TRY(run.prompt, render_conversation(voice.form, request.messages));
  run.stop.insert(run.stop.end(), voice.form.stops.begin(), voice.form.stops.end());
  OpenAiPlan plan;
  plan.head = make_head(service, request, AnswerKind::kChat, *loaded);
  plan.stream = request.stream;
  plan.runs.push_back(std::move(run));
  return plan;
}

Result<OpenAiPlan> plan_completion(Service& service, const CompletionRequest& request) {
  BOBBY_TRY(const auto loaded, service.loaded());
  BOBBY_TRY(const auto choices, choose_adapters(service, request));
  BOBBY_TRY(const GenerationRequest common, common_run(service, request, choices));
  OpenAiPlan plan;
  plan.head = make_head(service, request, AnswerKind::kCompletion, *loaded);
  plan.stream = request.stream;
  for (const PromptInput& prompt : request.prompts) {
    GenerationRequest run = common;
    if (const auto* text = std::get_if<std::string>(&prompt))
      run.prompt = *text;
    else
      run.prompt_tokens = std::get<std::vector<std::int32_t>>(prompt);
    plan.runs.push_back(std::move(run));
  }
  return plan;
}

}  // namespace bobby::server
