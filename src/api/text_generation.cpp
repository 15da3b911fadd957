#include <algorithm>
#include <atomic>
#include <bobby/text_generation.h>
#include <system_error>
#include <thread>
#include <utility>

#include "api/handles.h"
#include "api/publish.h"
#include "api/request_fields.h"
#include "app/engine.h"
#include "app/post_setup.h"
#include "app/voice_setup.h"
#include "posts/post_writer.h"
#include "voice/prompt_form.h"

namespace bobby::v1 {

struct __attribute__((visibility("hidden"))) TextGeneration::Impl {
  explicit Impl(Model served) : model(std::move(served)) {}

  Model model;
  std::shared_ptr<bobby::Generator> engine;
  // All but prompt and seed. After the engine, which its adapters must not outlive.
  bobby::PostRequest request;
  std::optional<std::uint64_t> seed;  // unset: drawn for each run
  std::shared_ptr<const bobby::Tokenizer> tokenizer;
  std::int64_t batch_size = 1;
  std::int64_t sequence_length = 0;

  bobby::Result<std::vector<Completion>> run(std::span<const std::string> prompts) const;

 private:
  bobby::Result<Completion> complete(const std::string& prompt, std::uint64_t run_seed) const;
  bobby::Result<std::int64_t> room(const std::string& prompt) const;
};

namespace {

bobby::Result<Settings> settings_of(const TextGenerationOptions& options) {
  api::FieldSettings fields;
  api::set_sampling(fields, options);
  fields.set_flag(Opt::kRaw, true);
  if (!options.prompt_form.empty()) fields.set(Opt::kPromptForm, options.prompt_form);
  if (options.system && !options.system->empty()) fields.set(Opt::kSystem, *options.system);
  return fields.resolve();
}

bobby::Result<void> check_sizes(const TextGenerationOptions& options) {
  const auto wrong = [](std::string field, std::string expected, std::int64_t found) {
    return fail({.code = bobby::ErrorCode::kUsage,
                 .where = std::move(field),
                 .problem = "is out of range",
                 .expected = std::move(expected),
                 .found = std::to_string(found)});
  };
  if (options.batch_size < 1 || options.batch_size > 1024)
    return wrong("batch_size", "1 to 1024", options.batch_size);
  if (options.sequence_length < 0)
    return wrong("sequence_length", "0 (the model's limit) or more", options.sequence_length);
  return {};
}

bobby::Result<std::shared_ptr<TextGeneration::Impl>> make(const Model& model,
                                                          const Tokenizer& tokenizer,
                                                          const TextGenerationOptions& options) {
  BOBBY_TRY(const Settings settings, settings_of(options));
  BOBBY_CHECK(check_sizes(options));
  std::vector<ChosenAdapter> chosen;
  if (options.adapter) chosen.push_back(Internal::of(options.adapter).chosen);
  for (const Adapter& adapter : options.adapters)
    if (adapter) chosen.push_back(Internal::of(adapter).chosen);

  Model::Impl& inner = Internal::of(model);
  auto serving = std::make_shared<TextGeneration::Impl>(model);
  BOBBY_TRY(serving->engine, inner.engine_for(Internal::of(tokenizer)));
  BOBBY_TRY(std::vector<AdapterUse> adapters, attach_adapters(*serving->engine, chosen));
  BOBBY_TRY(const VoiceSetup voice, set_up_voice(settings, inner.folder, model.type(), chosen));
  serving->request = post_request(settings, voice);
  serving->request.adapters = std::move(adapters);
  if (options.system) serving->request.system = options.system;
  serving->seed = options.seed;
  serving->tokenizer = Internal::of(tokenizer).tokenizer;
  serving->batch_size = options.batch_size;
  serving->sequence_length = options.sequence_length;
  return serving;
}

}  // namespace

/// Tokens that a completion of `prompt` may have.
bobby::Result<std::int64_t> TextGeneration::Impl::room(const std::string& prompt) const {
  if (sequence_length == 0) return request.max_tokens;
  BOBBY_TRY(const std::string text, render_prompt(request.form, prompt, request.system));
  const std::int64_t left = sequence_length - std::ssize(tokenizer->encode(text));
  if (left < 1)
    return fail(
        {.code = bobby::ErrorCode::kLimit,
         .where = "prompt",
         .problem = "leaves no room for a completion",
         .expected = "fewer tokens than sequence_length, " + std::to_string(sequence_length),
         .found = std::to_string(sequence_length - left)});
  return std::min(left, request.max_tokens);
}

bobby::Result<Completion> TextGeneration::Impl::complete(const std::string& prompt,
                                                         std::uint64_t run_seed) const {
  bobby::PostRequest one = request;
  one.prompt = prompt;
  one.seed = run_seed;
  BOBBY_TRY(one.max_tokens, room(prompt));
  BOBBY_TRY(bobby::PostBatch batch, PostWriter(*engine).write(one));
  if (batch.posts.empty())
    return fail({.code = bobby::ErrorCode::kInternal,
                 .where = "batched_run",
                 .problem = "a raw text was rejected"});
  bobby::Post& post = batch.posts.front();
  return Completion{.text = std::move(post.text),
                    .tokens = post.tokens,
                    .finish_reason = std::string(finish_reason_name(post.finish_reason)),
                    .seed = run_seed,
                    .mean_logprob = post.mean_logprob};
}

bobby::Result<std::vector<Completion>> TextGeneration::Impl::run(
    std::span<const std::string> prompts) const {
  const std::uint64_t run_seed = seed ? *seed : draw_seed();
  std::vector<bobby::Result<Completion>> results(prompts.size());
  std::atomic<std::size_t> next = 0;
  const auto work = [&] {
    for (std::size_t i = next++; i < prompts.size(); i = next++)
      results[i] = complete(prompts[i], run_seed);
  };
  // Threads that ask at once; the engine puts what they ask for together.
  std::vector<std::thread> others;
  const auto together = std::min(static_cast<std::size_t>(batch_size), prompts.size());
  try {
    while (others.size() + 1 < together) others.emplace_back(work);
  } catch (const std::system_error&) {
    // As many as the system gave; this thread does the rest.
  }
  work();
  for (std::thread& other : others) other.join();

  std::vector<Completion> completions;
  for (auto& result : results) {
    BOBBY_TRY(Completion completion, std::move(result));
    completions.push_back(std::move(completion));
  }
  return completions;
}

TextGeneration::TextGeneration(std::shared_ptr<Impl> impl) : impl_(std::move(impl)) {}

Result<std::vector<Completion>> TextGeneration::batched_run(
    std::span<const std::string> prompts) const {
  return api::publish(impl_->run(prompts));
}

Result<Completion> TextGeneration::batched_run(std::string_view prompt) const {
  const std::string text(prompt);
  auto completions = impl_->run({&text, 1});
  if (!completions) return api::publish(completions.error());
  return std::move(completions->front());
}

Result<TextGeneration> text_generation(const Model& model, const Tokenizer& tokenizer,
                                       const TextGenerationOptions& options) {
  auto serving = make(model, tokenizer, options);
  if (!serving) return api::publish(serving.error());
  return Internal::make<TextGeneration>(*std::move(serving));
}

}  // namespace bobby::v1
