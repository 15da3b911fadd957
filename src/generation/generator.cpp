#include "generation/generator.h"

#include <future>
#include <mutex>
#include <sys/resource.h>
#include <utility>

#include "generation/engine.h"

namespace bobby {
namespace {

std::size_t peak_rss_bytes() {
  rusage usage_now{};
  if (getrusage(RUSAGE_SELF, &usage_now) != 0) return 0;
#ifdef __APPLE__
  constexpr std::size_t kUnit = 1;
#else
  constexpr std::size_t kUnit = 1024;
#endif
  return static_cast<std::size_t>(usage_now.ru_maxrss) * kUnit;
}

}  // namespace

struct Generator::State {
  ModelLoader loader;
  GeneratorOptions options;

  std::mutex load_mutex;  // held while loading

  mutable std::mutex mutex;  // guards the rest, briefly
  GenerationTrace trace;
  std::shared_ptr<detail::Engine> engine;  // last: its thread reports into the others

  std::shared_ptr<detail::Engine> current() const {
    const std::lock_guard lock(mutex);
    return engine;
  }

  Result<std::shared_ptr<detail::Engine>> load(const ProgressFn& progress) {
    const std::lock_guard loading(load_mutex);
    if (auto there = current()) return there;
    BOBBY_TRY(std::shared_ptr<LoadedModel> model, loader(progress));
    auto made = std::make_shared<detail::Engine>(std::move(model), options);
    const std::lock_guard lock(mutex);
    engine = made;
    return made;
  }

  void keep(GenerationTrace latest) {
    const std::lock_guard lock(mutex);
    trace = std::move(latest);
  }
};

Generator::Generator(ModelLoader loader, GeneratorOptions options)
    : state_(std::make_unique<State>()) {
  state_->loader = std::move(loader);
  state_->options = options;
}

Generator::~Generator() = default;

Result<std::shared_ptr<LoadedModel>> Generator::prewarm(const ProgressFn& progress) {
  BOBBY_TRY(const auto engine, state_->load(progress));
  return engine->loaded();
}

bool Generator::loaded() const {
  return state_->current() != nullptr;
}

Result<std::shared_ptr<const AttachedAdapter>> Generator::attach(
    std::shared_ptr<const Adapter> adapter, float factor) {
  BOBBY_TRY(const auto engine, state_->load({}));
  Result<std::shared_ptr<const AttachedAdapter>> attached;
  engine->between_steps(
      [&] { attached = engine->loaded()->model->attach(std::move(adapter), factor); });
  return attached;
}

Result<void> Generator::submit(GenerationRequest request, OnDone on_done) {
  BOBBY_TRY(const auto engine, state_->load({}));
  return engine->submit(std::move(request), [state = state_.get(), done = std::move(on_done)](
                                                Result<detail::JobResult> result) {
    if (!result) return done(fail(std::move(result).error()));
    state->keep(std::move(result->trace));
    done(std::move(result->completions));
  });
}

Result<std::vector<Completion>> Generator::generate(GenerationRequest request) {
  // Shared: the engine's thread may still be inside set_value() when this one goes on.
  const auto promise = std::make_shared<std::promise<Result<std::vector<Completion>>>>();
  BOBBY_CHECK(submit(std::move(request), [promise](Result<std::vector<Completion>> result) {
    promise->set_value(std::move(result));
  }));
  return promise->get_future().get();
}

void Generator::drain() {
  if (const auto engine = state_->current()) engine->drain();
}

Result<void> Generator::save_prefixes(const PrefixSink& sink) {
  if (const auto engine = state_->current()) return engine->save_prefixes(sink);
  return sink.begin({});
}

Result<std::int64_t> Generator::load_prefixes(const PrefixSource& source) {
  BOBBY_TRY(const auto engine, state_->load({}));
  return engine->load_prefixes(source);
}

MemoryStats Generator::memory_stats() const {
  const auto engine = state_->current();
  if (!engine) return {.peak_rss_bytes = peak_rss_bytes()};
  const EngineStats stats = engine->stats();
  return {.weight_bytes = engine->loaded()->model->weight_bytes(),
          .kv_bytes = stats.kv_bytes,
          .kv_saturated = stats.kv_saturated,
          .peak_rss_bytes = peak_rss_bytes()};
}

EngineStats Generator::stats() const {
  const auto engine = state_->current();
  return engine ? engine->stats() : EngineStats();
}

GenerationTrace Generator::last_trace() const {
  const std::lock_guard lock(state_->mutex);
  return state_->trace;
}

}  // namespace bobby
