#pragma once

#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "base/result.h"
#include "generation/engine_options.h"
#include "generation/engine_stats.h"
#include "generation/job.h"
#include "generation/loaded_model.h"
#include "generation/scheduler.h"

namespace bobby::detail {

/// A scheduler with a thread of its own, and the letter box in front of it. Methods may be called
/// from any thread, submit() from callbacks too.
class Engine {
 public:
  Engine(std::shared_ptr<LoadedModel> loaded, const EngineOptions& options);
  /// What has not ended ends with kCancelled.
  ~Engine();
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  const std::shared_ptr<LoadedModel>& loaded() const { return loaded_; }

  /// Checks and takes a request; see Generator::submit().
  Result<void> submit(GenerationRequest request, Job::OnDone on_done);
  /// Runs `task` on the engine's thread, between two steps, and returns when it is done. Not from
  /// a callback.
  void between_steps(const std::function<void()>& task);
  /// See Generator. Not from a callback.
  Result<void> save_prefixes(const PrefixSink& sink);
  Result<std::int64_t> load_prefixes(const PrefixSource& source);
  /// Takes no more requests, and returns when those that were taken have ended.
  void drain();
  EngineStats stats() const;

 private:
  Result<std::unique_ptr<Job>> make_job(GenerationRequest request, Job::OnDone on_done) const;
  void report(const Job::OnDone& done, Result<JobResult> result);
  void run();
  /// Waits for something to do; false when it is time to stop.
  bool collect();

  std::shared_ptr<LoadedModel> loaded_;
  EngineOptions options_;
  Scheduler scheduler_;  // the thread's own

  mutable std::mutex mutex_;  // guards what follows
  std::condition_variable news_;
  std::condition_variable ended_;
  std::vector<std::unique_ptr<Job>> arrived_;
  std::vector<std::function<void()>> tasks_;
  std::int64_t taken_ = 0;  // requests that have not ended
  bool reporting_ = false;  // the end of one, this moment
  bool draining_ = false;
  bool stopping_ = false;
  EngineStats stats_;

  std::thread thread_;  // last: it uses all of the above
};

}  // namespace bobby::detail
