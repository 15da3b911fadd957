#include "generation/scheduler.h"

#include <algorithm>
#include <utility>

namespace bobby::detail {
namespace {

Error cancelled(const Job& job) {
  return {.code = ErrorCode::kCancelled,
          .where = "prompt",
          .problem = "was cancelled after " + std::to_string(job.prefilled) + " of " +
                     std::to_string(job.prompt_tokens()) + " tokens"};
}

Error late() {
  return {.code = ErrorCode::kTimeout,
          .where = "request",
          .problem = "was not done by its deadline",
          .hint = "ask for fewer tokens, or allow more time"};
}

}  // namespace

Scheduler::Scheduler(LoadedModel& loaded, const EngineOptions& options)
    : loaded_(loaded), options_(options), pool_(*loaded.model, options) {
  options_.max_rows = std::max<std::int64_t>(options_.max_rows, 1);
  options_.prefill_chunk = std::max<std::int64_t>(options_.prefill_chunk, 1);
  prompt_limit_ = options_.prefill_chunk;
  adapt_prompts(0.0, 0);
}

void Scheduler::round() {
  expire();
  admit();
  sweep();
  gather();
  if (parts_.empty()) return;
  run_step();
  sweep();
}

void Scheduler::cancel_all() {
  for (auto& job : queue_.take_if([](const Job&) { return true; })) {
    job->error = cancelled(*job);
    finish(*job);
  }
  for (auto& job : jobs_) job->error = cancelled(*job);
  sweep();
}

/// Ends what was cancelled or is late.
void Scheduler::expire() {
  const auto now = Job::Clock::now();
  for (auto& job : queue_.take_if(
           [&](const Job& waiting) { return waiting.cancelled() || waiting.late(now); })) {
    job->error = job->cancelled() ? cancelled(*job) : late();
    finish(*job);
  }
  for (auto& job : jobs_) {
    if (job->cancelled()) {
      if (job->prefilling()) {
        job->error = cancelled(*job);
        continue;
      }
      for (auto& row : job->rows) row->finish(FinishReason::kCancelled);
      for (; job->begun < job->samples(); ++job->begun) {
        const Row row(job->begun, job->request.samples[job->begun], job->prompt, *loaded_.tokenizer,
                      job->ends);
        job->completions[job->begun] = row.completion(job->prompt_tokens());
      }
    } else if (job->late(now)) {
      job->error = late();
    }
  }
  sweep();
}

/// Lets go of rows and jobs that have ended.
void Scheduler::sweep() {
  for (auto& job : jobs_) {
    for (auto& row : job->rows) {
      if (!row->finished() && !job->error) continue;
      job->completions[row->index()] = row->completion(job->prompt_tokens());
      // Its last token was drawn and never fed.
      const auto fed = static_cast<std::size_t>(std::ssize(row->history()) - 1);
      if (!job->error) pool_.keep_answer(job->voice, row->history().first(fed), row->blocks);
      pool_.release(row->blocks);
      row.reset();
    }
    std::erase(job->rows, nullptr);
  }
  std::vector<std::unique_ptr<Job>> ended;
  for (auto& job : jobs_)
    if (job->error || (!job->prefilling() && job->rows.empty() && job->rows_to_come() == 0))
      ended.push_back(std::move(job));
  std::erase(jobs_, nullptr);
  for (auto& job : ended) {
    release(*job);
    finish(*job);
  }
}

void Scheduler::release(Job& job) {
  pool_.release(job.prompt_blocks);
  pool_.release(job.tail);
  pool_.release(job.first_own);
}

/// Tells who asked.
void Scheduler::finish(Job& job) {
  job.trace.total_ms = job.now_ms() + job.trace.encode_ms;
  counters_.kv_saturated = pool_.saturated();
  if (job.error) {
    const bool cancelled = job.error->code == ErrorCode::kCancelled;
    ++(cancelled ? counters_.requests_cancelled : counters_.requests_failed);
    job.on_done(fail(*std::move(job.error)));
    return;
  }
  job.trace.kv_saturated = counters_.kv_saturated - job.saturated_before;
  for (Completion& completion : job.completions) {
    completion.seed = job.request.seed;
    completion.prefill_ms = job.prefill_ms;
    completion.cached_prompt_tokens = job.found_cached;
  }
  ++(job.cancelled() ? counters_.requests_cancelled : counters_.requests_done);
  job.on_done(JobResult{std::move(job.completions), std::move(job.trace)});
}

void Scheduler::tell(EngineStats& stats) const {
  const std::uint64_t refused = stats.requests_refused;
  stats = counters_;
  stats.requests_refused = refused;
  stats.max_rows = options_.max_rows;
  stats.waiting_requests = static_cast<std::int64_t>(queue_.size());
  stats.running_requests = std::ssize(jobs_);
  for (const auto& job : jobs_) {
    stats.running_rows += std::ssize(job->rows);
    stats.prefilling_requests += job->prefilling() ? 1 : 0;
    stats.waiting_rows += static_cast<std::int64_t>(job->rows_to_come());
  }
  stats.block_tokens = pool_.block_tokens();
  stats.kv_blocks = pool_.blocks();
  stats.kv_blocks_in_use = pool_.blocks_in_use();
  stats.kv_blocks_cached = pool_.blocks_cached();
  stats.kv_bytes = pool_.bytes();
}

}  // namespace bobby::detail
