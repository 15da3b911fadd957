#include "generation/generator.h"

#include <atomic>
#include <bobby/generator.h>
#include <filesystem>
#include <mutex>
#include <utility>

#include "api/publish.h"
#include "api/request_fields.h"
#include "app/device.h"
#include "app/engine.h"
#include "app/obtain.h"
#include "app/voice_setup.h"
#include "posts/post_writer.h"

namespace bobby::v1 {
namespace {

bobby::Result<Settings> settings_of(const GeneratorOptions& options) {
  api::FieldSettings fields;
  if (!options.model.empty()) fields.set(Opt::kModel, options.model);
  fields.set_texts(Opt::kAdapter, options.adapters);
  if (!options.prompt_form.empty()) fields.set(Opt::kPromptForm, options.prompt_form);
  api::set_device(fields, options);
  return fields.resolve();
}

bobby::GeneratorOptions engine_options(const bobby::Result<Settings>& settings,
                                       std::int64_t max_context) {
  bobby::GeneratorOptions options;
  if (settings) options.kv_format = kv_format(*settings);
  options.max_context = max_context;
  return options;
}

}  // namespace

struct Generator::State {
  explicit State(const GeneratorOptions& options)
      : settings(settings_of(options)),
        max_context(options.max_context),
        engine(
            [this](const bobby::ProgressFn& progress) {
              return bobby::load_model(*settings, folder, TokenizerUse::kRequired, progress);
            },
            engine_options(settings, options.max_context)) {}

  bobby::Result<void> prewarm(const bobby::ProgressFn& progress) {
    const std::lock_guard lock(loading);
    if (ready) return {};
    if (!settings) return fail(settings.error());
    if (max_context < 0)
      return fail({.code = bobby::ErrorCode::kUsage,
                   .where = "max_context",
                   .problem = "is negative",
                   .expected = "0 (the model's own) or more"});
    BOBBY_TRY(folder, obtain_model(settings->text(Opt::kModel), *settings, {}));
    BOBBY_TRY(const auto chosen, load_adapters(*settings));
    BOBBY_TRY(const auto loaded, engine.prewarm(progress));
    BOBBY_TRY(adapters, attach_adapters(engine, chosen));
    BOBBY_TRY(voice, set_up_voice(*settings, folder, loaded->model->config().model_type, chosen));
    ready = true;
    return {};
  }

  bobby::Result<bobby::PostBatch> write(bobby::PostRequest& request) {
    request.adapters = adapters;
    return PostWriter(engine).write(request);
  }

  const bobby::Result<Settings> settings;
  const std::int64_t max_context;
  std::filesystem::path folder;
  bobby::Generator engine;

  std::mutex loading;
  std::atomic<bool> ready = false;   // what follows is there, and does not change any more
  std::vector<AdapterUse> adapters;  // after the engine, which they must not outlive
  VoiceSetup voice;
};

Generator::Generator(GeneratorOptions options) : state_(std::make_unique<State>(options)) {}
Generator::~Generator() = default;
Generator::Generator(Generator&&) noexcept = default;
Generator& Generator::operator=(Generator&&) noexcept = default;

Result<void> Generator::prewarm(const ProgressFn& progress) {
  return api::publish(state_->prewarm(api::to_inner(progress)));
}

bool Generator::loaded() const {
  return state_->ready;
}

std::vector<std::string> Generator::warnings() const {
  return state_->ready ? state_->voice.warnings : std::vector<std::string>();
}

Result<PostBatch> Generator::generate(const GenerateOptions& options) {
  if (auto ready = state_->prewarm({}); !ready) return api::publish(ready.error());
  auto request = api::make_request(options, state_->voice);
  if (!request) return api::publish(request.error());
  api::Callbacks callbacks(options, *request);
  auto batch = state_->write(*request);
  callbacks.rethrow();
  if (!batch) return api::publish(batch.error());
  return api::to_public(*std::move(batch), options.count);
}

MemoryStats Generator::memory_stats() const {
  const bobby::MemoryStats stats = state_->engine.memory_stats();
  return {.weight_bytes = stats.weight_bytes,
          .kv_bytes = stats.kv_bytes,
          .kv_saturated = stats.kv_saturated,
          .peak_rss_bytes = stats.peak_rss_bytes};
}

std::string Generator::last_trace() const {
  return state_->engine.last_trace().to_json();
}

}  // namespace bobby::v1
