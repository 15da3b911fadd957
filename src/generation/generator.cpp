#include "generation/generator.h"

#include <algorithm>
#include <chrono>
#include <mutex>
#include <sys/resource.h>
#include <utility>

#include "generation/request_run.h"

namespace bobby {
namespace {

constexpr std::size_t kMostSamples = 1u << 20;

Error usage(std::string field, std::string problem) {
  return {.code = ErrorCode::kUsage, .where = std::move(field), .problem = std::move(problem)};
}

Result<void> validate(const GenerationRequest& request, std::int64_t vocab_size) {
  std::vector<Error> errors;
  if (request.prompt.empty() == request.prompt_tokens.empty())
    errors.push_back(usage(
        "prompt", request.prompt.empty() ? "is empty" : "is given twice: as text and as tokens"));
  if (request.samples.empty() || request.samples.size() > kMostSamples)
    errors.push_back(usage("count", "is not between 1 and " + std::to_string(kMostSamples)));
  if (request.max_tokens < 1) errors.push_back(usage("max-tokens", "is less than 1"));
  for (const AdapterUse& use : request.adapters)
    if (use.adapter == nullptr) errors.push_back(usage("adapter", "is not attached"));
  if (auto sampling = request.sampling.validate(vocab_size); !sampling)
    errors.push_back(std::move(sampling).error());
  if (errors.empty()) return {};
  return fail(join_errors(std::move(errors)));
}

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
  std::mutex run_mutex;   // held by the request that runs; guards kv

  mutable std::mutex mutex;  // guards the rest, briefly
  std::shared_ptr<LoadedModel> loaded;
  GenerationTrace trace;
  std::size_t kv_bytes = 0;
  std::uint64_t kv_saturated = 0;

  // After `loaded`, so that the pool goes before the backend it lies in.
  std::unique_ptr<KvStorage> kv;

  std::shared_ptr<LoadedModel> current() const {
    const std::lock_guard lock(mutex);
    return loaded;
  }

  /// A pool of at least `blocks`, the one there is when it is large enough.
  Result<void> reserve_kv(LoadedModel& model, std::int64_t blocks) {
    if (kv != nullptr && kv->shape().blocks >= blocks) return {};
    kv.reset();  // before the new one, so that both never exist at once
    set_kv_bytes(0);
    BOBBY_TRY(kv,
              model.model->backend().allocate_kv(model.model->kv_shape(blocks, options.kv_format)));
    set_kv_bytes(kv->shape().block_bytes() * static_cast<std::size_t>(blocks));
    return {};
  }

  void set_kv_bytes(std::size_t bytes) {
    const std::lock_guard lock(mutex);
    kv_bytes = bytes;
  }
};

Generator::Generator(ModelLoader loader, GeneratorOptions options)
    : state_(std::make_unique<State>()) {
  state_->loader = std::move(loader);
  state_->options = options;
}

Generator::~Generator() = default;

Result<std::shared_ptr<LoadedModel>> Generator::prewarm(const ProgressFn& progress) {
  const std::lock_guard loading(state_->load_mutex);
  if (auto model = state_->current()) return model;
  BOBBY_TRY(std::shared_ptr<LoadedModel> model, state_->loader(progress));
  const std::lock_guard lock(state_->mutex);
  state_->loaded = model;
  return model;
}

bool Generator::loaded() const {
  return state_->current() != nullptr;
}

Result<std::shared_ptr<const AttachedAdapter>> Generator::attach(
    std::shared_ptr<const Adapter> adapter, float factor) {
  BOBBY_TRY(const std::shared_ptr<LoadedModel> model, prewarm());
  const std::lock_guard running(state_->run_mutex);
  return model->model->attach(std::move(adapter), factor);
}

Result<std::vector<Completion>> Generator::generate(const GenerationRequest& request) {
  using Clock = std::chrono::steady_clock;
  const auto since = [](Clock::time_point begin) {
    return std::chrono::duration<double, std::milli>(Clock::now() - begin).count();
  };
  BOBBY_TRY(const std::shared_ptr<LoadedModel> loaded, prewarm());
  const ModelConfig& config = loaded->model->config();
  BOBBY_CHECK(validate(request, config.vocab_size));
  const std::lock_guard running(state_->run_mutex);

  GenerationTrace trace;
  const Clock::time_point begin = Clock::now();
  const std::vector<std::int32_t> encoded = request.prompt_tokens.empty()
                                                ? loaded->tokenizer->encode(request.prompt)
                                                : request.prompt_tokens;
  trace.encode_ms = since(begin);
  if (encoded.empty()) return fail(usage("prompt", "has no tokens"));

  const GeneratorOptions& options = state_->options;
  const detail::RunLimits limits = {
      .context = options.max_context > 0
                     ? std::min(options.max_context, config.max_position_embeddings)
                     : config.max_position_embeddings,
      .max_rows = std::max<std::int64_t>(options.max_rows, 1),
      .prefill_chunk = std::max<std::int64_t>(options.prefill_chunk, 1),
      .block_tokens = loaded->model->kv_shape(1, options.kv_format).block_tokens};
  BOBBY_TRY(const detail::RunPlan plan,
            detail::plan_run(request, static_cast<std::int64_t>(encoded.size()), limits));
  BOBBY_CHECK(state_->reserve_kv(*loaded, plan.pool_blocks()));

  detail::RequestRun run({.request = &request,
                          .prompt = encoded,
                          .model = loaded->model.get(),
                          .tokenizer = loaded->tokenizer.get(),
                          .kv = state_->kv.get()},
                         plan, trace);
  const std::uint64_t saturated = state_->kv->saturated();
  auto completions = run.run();
  trace.total_ms = since(begin);
  trace.kv_saturated = state_->kv->saturated() - saturated;
  const std::lock_guard lock(state_->mutex);
  state_->kv_saturated += trace.kv_saturated;
  state_->trace = std::move(trace);
  return completions;
}

MemoryStats Generator::memory_stats() const {
  const std::lock_guard lock(state_->mutex);
  return {.weight_bytes = state_->loaded ? state_->loaded->model->weight_bytes() : 0,
          .kv_bytes = state_->kv_bytes,
          .kv_saturated = state_->kv_saturated,
          .peak_rss_bytes = peak_rss_bytes()};
}

GenerationTrace Generator::last_trace() const {
  const std::lock_guard lock(state_->mutex);
  return state_->trace;
}

}  // namespace bobby
