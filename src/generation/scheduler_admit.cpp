// Which jobs and rows begin.

#include <algorithm>
#include <utility>

#include "generation/scheduler.h"

namespace bobby::detail {
namespace {

void append(std::vector<std::int32_t>& to, const std::vector<std::int32_t>& blocks) {
  to.insert(to.end(), blocks.begin(), blocks.end());
}

}  // namespace

void Scheduler::admit() {
  while (places_taken() < options_.max_rows && begin_one()) {
  }
}

/// Rows that run, and first rows whose prompt is computed.
std::int64_t Scheduler::places_taken() const {
  std::int64_t places = 0;
  for (const auto& job : jobs_) places += job->prefilling() ? 1 : std::ssize(job->rows);
  return places;
}

std::int64_t Scheduler::rows_of(const std::string& client) const {
  std::int64_t rows = 0;
  for (const auto& job : jobs_)
    if (job->request.client == client) rows += job->prefilling() ? 1 : std::ssize(job->rows);
  return rows;
}

/// The admitted job with rows to come whose client has the fewest rows; null when there is none.
Job* Scheduler::least_served() {
  Job* least = nullptr;
  for (const auto& job : jobs_)
    if (!job->prefilling() && !job->error && job->rows_to_come() > 0 &&
        (least == nullptr || rows_of(job->request.client) < rows_of(least->request.client)))
      least = job.get();
  return least;
}

/// A further row, or the first of a job that waits: whoever's client has less. False when nothing
/// can begin now. What cannot have its blocks yet is not overtaken, or it might never.
bool Scheduler::begin_one() {
  Job* further = least_served();
  const Job* waiting = queue_.front();
  if (further == nullptr && waiting == nullptr) return false;
  const bool new_job =
      waiting != nullptr &&
      (further == nullptr || rows_of(waiting->request.client) < rows_of(further->request.client));
  if (new_job ? admit_front() : begin_row(*further)) return true;
  return places_taken() == 0 && begin_anything();
}

/// When nothing runs: whatever can.
bool Scheduler::begin_anything() {
  for (auto job = jobs_.rbegin(); job != jobs_.rend(); ++job)
    if (!(*job)->error && (*job)->rows_to_come() > 0 && begin_row(**job)) return true;
  return !queue_.empty() && admit_front();
}

/// Blocks that the jobs that wait would use, as many as have places together.
std::int64_t Scheduler::wanted_blocks() const {
  std::int64_t blocks = 0;
  std::int64_t places = options_.max_rows;
  for (const Job* job : queue_.in_order()) {
    if (places == 0) break;
    const std::int64_t rows = std::min(static_cast<std::int64_t>(job->samples()), places);
    blocks += job->plan.blocks(rows);
    places -= rows;
  }
  return blocks;
}

/// Makes the pool what it has to be for `job`, if nothing is in use.
Result<void> Scheduler::make_room(const Job& job) {
  const std::int64_t most = pool_.most_blocks();
  if (job.plan.first_blocks() > most)
    return fail({.code = ErrorCode::kLimit,
                 .where = "prompt and max-tokens",
                 .problem = "take more of the KV cache than there is",
                 .expected = std::to_string(most * pool_.block_tokens()) + " tokens at most",
                 .found = std::to_string(job.plan.first_blocks() * pool_.block_tokens()),
                 .hint = "ask for fewer tokens, or give the cache more memory"});
  if (!jobs_.empty()) return {};
  std::int64_t wanted = options_.kv_bytes > 0 ? most : wanted_blocks();
  // Twice as much at least, so that the pauses for growing soon come to an end.
  if (std::exchange(growing_, false)) wanted = std::max(wanted, 2 * pool_.blocks());
  if (wanted > pool_.blocks()) return pool_.resize(wanted);
  return {};
}

/// Begins the prompt of the job whose turn it is; false when its blocks are not free. A job that
/// cannot begin at all ends.
bool Scheduler::admit_front() {
  if (growing_ && !jobs_.empty()) return false;
  const Job& front = *queue_.front();
  if (auto room = make_room(front); !room) {
    const std::unique_ptr<Job> job = queue_.pop();
    job->error = std::move(room).error();
    finish(*job);
    return true;
  }
  const JobPlan& plan = front.plan;
  std::vector<std::int32_t> found =
      pool_.blocks() > 0 ? pool_.find(front.voice, front.prompt) : std::vector<std::int32_t>();
  if (!pool_.has(plan.first_blocks() - std::ssize(found))) {
    if (!found.empty()) pool_.release(found);
    growing_ = options_.kv_bytes == 0;
    return false;
  }
  std::unique_ptr<Job> job = queue_.pop();
  job->found_cached = std::ssize(found) * pool_.block_tokens();
  job->prefilled = job->found_cached;
  job->prompt_blocks = std::move(found);
  append(job->prompt_blocks, pool_.acquire(plan.prompt_blocks - std::ssize(job->prompt_blocks)));
  job->tail = pool_.acquire(plan.tail_blocks);
  job->first_own = pool_.acquire(plan.own_blocks);
  job->saturated_before = pool_.saturated();
  job->prefill_begin_ms = job->now_ms();
  job->trace.cached_prompt_tokens = job->found_cached;
  counters_.prompt_tokens += static_cast<std::uint64_t>(job->prompt_tokens());
  counters_.cached_prompt_tokens += static_cast<std::uint64_t>(job->found_cached);
  jobs_.push_back(std::move(job));
  return true;
}

/// Begins the next row of a job whose prompt is computed; false when its blocks are not free.
bool Scheduler::begin_row(Job& job) {
  const bool first = job.begun == 0;
  if (!first && !pool_.has(job.plan.own_blocks)) return false;
  auto row = std::make_unique<Row>(job.begun, job.request.samples[job.begun], job.prompt,
                                   *loaded_.tokenizer, job.ends);
  ++job.begun;
  const std::vector<std::int32_t> own =
      first ? std::exchange(job.first_own, {}) : pool_.acquire(job.plan.own_blocks);
  pool_.share(job.prompt_blocks);
  row->blocks = job.prompt_blocks;
  append(row->blocks, own);
  if (!job.tail.empty())
    loaded_.model->backend().copy_kv_block(pool_.storage(), job.tail.front(), own.front());
  job.rows.push_back(std::move(row));
  std::vector<float> logits =
      job.rows_to_come() == 0 ? std::exchange(job.prompt_logits, {}) : job.prompt_logits;
  if (auto drawn = draw_from(job, *job.rows.back(), logits); !drawn)
    job.error = std::move(drawn).error();
  return true;
}

}  // namespace bobby::detail
