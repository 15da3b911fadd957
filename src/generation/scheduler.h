#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "backends/backend.h"
#include "base/result.h"
#include "generation/engine_options.h"
#include "generation/engine_stats.h"
#include "generation/fair_queue.h"
#include "generation/job.h"
#include "generation/kv_pool.h"
#include "generation/loaded_model.h"

namespace bobby::detail {

/// Which rows and prompts share the next step, and what becomes of its logits: continuous batching.
/// Rows join and leave between steps. Of one thread; Engine gives it one.
///
/// A job is admitted when its prompt and its first row have all the blocks they may come to need,
/// so nothing that runs ever has to be put back. Its further rows take theirs as they are free: the
/// job admitted last always gets its own, so that some row can always run.
class Scheduler {
 public:
  /// `loaded` must outlive this.
  Scheduler(LoadedModel& loaded, const EngineOptions& options);

  void add(std::unique_ptr<Job> job) { queue_.push(std::move(job)); }
  bool idle() const { return queue_.empty() && jobs_.empty(); }
  /// Ends what was cancelled, begins what there is place for, and runs one step.
  void round();
  /// Every job ends with kCancelled.
  void cancel_all();
  /// See KvPool.
  Result<void> save_prefixes(const PrefixSink& sink) { return pool_.save(sink); }
  Result<std::int64_t> load_prefixes(const PrefixSource& source) { return pool_.load(source); }
  /// Everything but what the engine counts itself.
  void tell(EngineStats& stats) const;

 private:
  /// What one sequence contributes to a step: a row's latest token, or a stretch of a prompt.
  struct Part {
    Job* job = nullptr;
    Row* row = nullptr;  // null: the prompt
    std::int64_t tokens = 0;
    std::int64_t logits_row = -1;  // -1: none are wanted
  };
  /// When a step began and how long its model took.
  struct StepTime {
    Job::Clock::time_point begin;
    double forward_ms = 0.0;
  };

  void expire();
  void sweep();
  void finish(Job& job);
  void release(Job& job);

  void admit();
  bool begin_one();
  bool begin_anything();
  bool admit_front();
  Result<void> make_room(const Job& job);
  std::int64_t wanted_blocks() const;
  bool begin_row(Job& job);
  Job* least_served();
  std::int64_t places_taken() const;
  std::int64_t rows_of(const std::string& client) const;

  void gather();
  void add_prompt(Job& job, std::int64_t& budget);
  void run_step();
  void report_prompts() const;
  Result<Activation> forward();
  Result<void> read(Activation logits);
  void take(const Part& part, Activation logits, const StepTime& time);
  void prompt_done(Job& job, Activation logits, std::int64_t logits_row);
  Result<std::span<float>> logits_of(Activation logits, std::int64_t row);
  Result<void> draw(Job& job, Row& row, Activation logits, std::int64_t logits_row);
  Result<void> draw_from(Job& job, Row& row, std::span<float> logits);
  void accept(Job& job, Row& row, const SampledToken& token, std::span<const SampledToken> top);
  void adapt_prompts(double took_ms, std::int64_t prompt_tokens);

  LoadedModel& loaded_;
  EngineOptions options_;
  KvPool pool_;
  FairQueue queue_;
  std::vector<std::unique_ptr<Job>> jobs_;  // admitted, in that order

  std::vector<Part> parts_;
  std::vector<std::vector<std::int32_t>> tables_;  // block tables of the step's prompts
  std::vector<StepSequence> sequences_;
  bool growing_ = false;             // nothing begins until the pool is free to grow
  std::int64_t prompt_limit_;        // tokens of prompts in a step, as they fit the time
  std::vector<float> logits_;        // of a step, or of one of its rows
  bool all_logits_ = false;          // which of the two
  std::span<const TopLogits> tops_;  // of a step, where the backend offers them
  EngineStats counters_;
};

}  // namespace bobby::detail
