#include "generation/engine.h"

#include <algorithm>
#include <future>
#include <utility>

namespace bobby::detail {
namespace {

constexpr std::size_t kMostSamples = 1u << 20;
constexpr std::int64_t kMostTopLogprobs = 1000;

Error usage(std::string field, std::string problem) {
  return {.code = ErrorCode::kUsage, .where = std::move(field), .problem = std::move(problem)};
}

Result<void> validate(const GenerationRequest& request, std::int64_t vocab_size) {
  std::vector<Error> errors;
  if (request.prompt.empty() == request.prompt_tokens.empty())
    errors.push_back(usage(
        "prompt", request.prompt.empty() ? "is empty" : "is given twice: as text and as tokens"));
  for (const std::int32_t token : request.prompt_tokens)
    if (token < 0 || token >= vocab_size) {
      errors.push_back({.code = ErrorCode::kUsage,
                        .where = "prompt",
                        .problem = "holds a token id outside the vocabulary",
                        .expected = "0 to " + std::to_string(vocab_size - 1),
                        .found = std::to_string(token)});
      break;
    }
  if (request.samples.empty() || request.samples.size() > kMostSamples)
    errors.push_back(usage("count", "is not between 1 and " + std::to_string(kMostSamples)));
  if (request.max_tokens < 1) errors.push_back(usage("max-tokens", "is less than 1"));
  if (request.top_logprobs < 0 || request.top_logprobs > kMostTopLogprobs)
    errors.push_back(
        usage("top-logprobs", "is not between 0 and " + std::to_string(kMostTopLogprobs)));
  for (const AdapterUse& use : request.adapters)
    if (use.adapter == nullptr) errors.push_back(usage("adapter", "is not attached"));
  if (auto sampling = request.sampling.validate(vocab_size); !sampling)
    errors.push_back(std::move(sampling).error());
  if (errors.empty()) return {};
  return fail(join_errors(std::move(errors)));
}

}  // namespace

Engine::Engine(std::shared_ptr<LoadedModel> loaded, const EngineOptions& options)
    : loaded_(std::move(loaded)), options_(options), scheduler_(*loaded_, options) {
  scheduler_.tell(stats_);
  thread_ = std::thread([this] { run(); });
}

Engine::~Engine() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  news_.notify_all();
  thread_.join();
}

Result<std::unique_ptr<Job>> Engine::make_job(GenerationRequest request,
                                              Job::OnDone on_done) const {
  const Model& model = *loaded_->model;
  const ModelConfig& config = model.config();
  BOBBY_CHECK(validate(request, config.vocab_size));
  const auto begin = Job::Clock::now();
  std::vector<std::int32_t> prompt = request.prompt_tokens.empty()
                                         ? loaded_->tokenizer->encode(request.prompt)
                                         : request.prompt_tokens;
  const double encode_ms =
      std::chrono::duration<double, std::milli>(Job::Clock::now() - begin).count();
  if (prompt.empty()) return fail(usage("prompt", "has no tokens"));
  const std::int64_t context = options_.max_context > 0
                                   ? std::min(options_.max_context, config.max_position_embeddings)
                                   : config.max_position_embeddings;
  BOBBY_TRY(const JobPlan plan, plan_job(request, std::ssize(prompt), context,
                                         model.kv_shape(1, options_.kv_format).block_tokens));
  RowEnds ends(request, config, *loaded_->tokenizer, plan.new_tokens);
  auto job = std::make_unique<Job>(std::move(request), std::move(prompt), plan, std::move(ends),
                                   std::move(on_done));
  job->trace.encode_ms = encode_ms;
  return job;
}

Result<void> Engine::submit(GenerationRequest request, Job::OnDone on_done) {
  BOBBY_TRY(std::unique_ptr<Job> job,
            make_job(std::move(request), [this, done = std::move(on_done)](auto result) {
              report(done, std::move(result));
            }));
  {
    const std::lock_guard lock(mutex_);
    const std::int64_t room = std::max<std::int64_t>(options_.max_rows, 1) + options_.max_queue;
    if (draining_ || stopping_ || (options_.max_queue > 0 && taken_ >= room)) {
      ++stats_.requests_refused;
      if (draining_ || stopping_)
        return fail({.code = ErrorCode::kCancelled,
                     .where = "request",
                     .problem = "was not taken: the model is being shut down"});
      return fail({.code = ErrorCode::kBusy,
                   .where = "request",
                   .problem = "was not taken: the queue is full",
                   .expected = "at most " + std::to_string(room) + " requests at once",
                   .hint = "try again in a moment"});
    }
    ++taken_;
    arrived_.push_back(std::move(job));
  }
  news_.notify_one();
  return {};
}

/// A job has ended: whoever asked may see it in stats(), and ask again, from here on.
void Engine::report(const Job::OnDone& done, Result<JobResult> result) {
  {
    const std::lock_guard lock(mutex_);
    scheduler_.tell(stats_);
    --taken_;
    reporting_ = true;
  }
  done(std::move(result));
  {
    const std::lock_guard lock(mutex_);
    reporting_ = false;
  }
  ended_.notify_all();
}

void Engine::between_steps(const std::function<void()>& task) {
  // Shared: the engine's thread may still be inside set_value() when this one goes on.
  const auto done = std::make_shared<std::promise<void>>();
  {
    const std::lock_guard lock(mutex_);
    tasks_.emplace_back([&task, done] {
      task();
      done->set_value();
    });
  }
  news_.notify_one();
  done->get_future().wait();
}

Result<void> Engine::save_prefixes(const PrefixSink& sink) {
  Result<void> saved;
  between_steps([&] { saved = scheduler_.save_prefixes(sink); });
  return saved;
}

Result<std::int64_t> Engine::load_prefixes(const PrefixSource& source) {
  Result<std::int64_t> loaded = 0;
  between_steps([&] {
    loaded = scheduler_.load_prefixes(source);
    const std::lock_guard lock(mutex_);
    scheduler_.tell(stats_);  // whoever loaded them finds them in stats()
  });
  return loaded;
}

void Engine::drain() {
  std::unique_lock lock(mutex_);
  draining_ = true;
  ended_.wait(lock, [&] { return taken_ == 0 && !reporting_; });
}

EngineStats Engine::stats() const {
  const std::lock_guard lock(mutex_);
  EngineStats stats = stats_;
  stats.waiting_requests += std::ssize(arrived_);
  return stats;
}

bool Engine::collect() {
  std::vector<std::unique_ptr<Job>> arrived;
  std::vector<std::function<void()>> tasks;
  bool stop = false;
  {
    std::unique_lock lock(mutex_);
    scheduler_.tell(stats_);
    news_.wait(lock, [&] {
      return stopping_ || !arrived_.empty() || !tasks_.empty() || !scheduler_.idle();
    });
    arrived.swap(arrived_);
    tasks.swap(tasks_);
    stop = stopping_;
  }
  for (const auto& task : tasks) task();
  for (auto& job : arrived) scheduler_.add(std::move(job));
  return !stop;
}

void Engine::run() {
  while (collect()) scheduler_.round();
  scheduler_.cancel_all();
}

}  // namespace bobby::detail
