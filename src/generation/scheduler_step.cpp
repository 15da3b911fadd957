// What one step of the model is made of, and what becomes of its logits.

#include <algorithm>
#include <utility>

#include "generation/scheduler.h"

namespace bobby::detail {
namespace {

// The prompts' share of a step grows while steps are quick and shrinks when they are slow, so that
// a slow machine still hears a cancellation within about a second, and rows that run beside a
// prompt do not stand still. Results do not depend on it.
constexpr std::int64_t kFirstTokens = 128;
constexpr std::int64_t kFewestTokens = 32;
constexpr double kQuickMs = 250.0;
constexpr double kSlowMs = 800.0;
constexpr double kBesideRows = 0.4;  // of those times, when rows run

bool wants_all_logits(const Job& job, const Row& row) {
  const GenerationRequest& request = job.request;
  return request.top_logprobs > 0 || request.sampling.wants_all_logits() ||
         (request.logits_rule.wants && request.logits_rule.wants({row.index(), row.text()}));
}

double since_ms(Job::Clock::time_point begin) {
  return std::chrono::duration<double, std::milli>(Job::Clock::now() - begin).count();
}

}  // namespace

/// The rows that run, and as much of the prompts as a step takes.
void Scheduler::gather() {
  parts_.clear();
  tables_.clear();
  sequences_.clear();
  for (const auto& job : jobs_)
    for (const auto& row : job->rows) parts_.push_back({job.get(), row.get(), 1, 0});
  std::int64_t budget = prompt_limit_;
  for (const auto& job : jobs_)
    if (job->prefilling()) add_prompt(*job, budget);
  std::int64_t logits_rows = 0;
  tables_.reserve(parts_.size());
  for (Part& part : parts_) {
    const Job& job = *part.job;
    if (part.row != nullptr) {
      sequences_.push_back({.tokens = part.row->history().last(1),
                            .position = std::ssize(part.row->history()) - 1,
                            .blocks = part.row->blocks,
                            .adapters = job.request.adapters,
                            .logits = LogitsRows::kLast});
    } else {
      std::vector<std::int32_t>& table = tables_.emplace_back(job.prompt_blocks);
      const auto& rest = job.tail.empty() ? job.first_own : job.tail;
      table.insert(table.end(), rest.begin(), rest.end());
      sequences_.push_back({.tokens = std::span(job.prompt)
                                          .subspan(static_cast<std::size_t>(job.prefilled),
                                                   static_cast<std::size_t>(part.tokens)),
                            .position = job.prefilled,
                            .blocks = table,
                            .adapters = job.request.adapters,
                            .logits = part.logits_row < 0 ? LogitsRows::kNone : LogitsRows::kLast});
    }
    if (part.logits_row >= 0) part.logits_row = logits_rows++;
  }
}

/// A stretch of `job`'s prompt, if the step has room for it.
void Scheduler::add_prompt(Job& job, std::int64_t& budget) {
  if (budget <= 0) return;
  const std::int64_t left = job.prompt_tokens() - job.prefilled;
  std::int64_t tokens = std::min(left, budget);
  if (loaded_.model->backend().bits_follow_chunks()) {
    // Every prompt is cut alike, whatever else is in the step.
    tokens = std::min(left, options_.prefill_chunk);
    if (tokens > budget && budget < prompt_limit_) return;
  }
  budget -= tokens;
  parts_.push_back({&job, nullptr, tokens, tokens == left ? 0 : -1});
}

void Scheduler::run_step() {
  report_prompts();
  const StepTime begin{Job::Clock::now()};
  auto logits = forward();
  if (!logits) {
    for (const Part& part : parts_) part.job->error = logits.error();
    return;
  }
  const StepTime time{begin.begin, since_ms(begin.begin)};
  std::int64_t prompt_tokens = 0;
  for (const Part& part : parts_) {
    if (part.row == nullptr) prompt_tokens += part.tokens;
    if (!part.job->error) take(part, *logits, time);
  }
  const double step_ms = since_ms(begin.begin);
  // A job's rows, which stand together in a step, are one entry of its trace.
  for (auto first = parts_.begin(); first != parts_.end() && first->row != nullptr;) {
    Job& job = *first->job;
    const auto end = std::find_if(first, parts_.end(), [&](const Part& part) {
      return part.job != &job || part.row == nullptr;
    });
    job.trace.steps.push_back(
        {end - first, job.now_ms() - step_ms, time.forward_ms, step_ms - time.forward_ms});
    first = end;
  }
  adapt_prompts(step_ms, prompt_tokens);
  ++counters_.steps;
  counters_.step_seconds += step_ms / 1000.0;
  counters_.last_step_ms = step_ms;
}

void Scheduler::report_prompts() const {
  for (const Part& part : parts_)
    if (part.row == nullptr && part.job->request.on_prefill)
      part.job->request.on_prefill({"prefill", static_cast<std::uint64_t>(part.job->prefilled),
                                    static_cast<std::uint64_t>(part.job->prompt_tokens())});
}

Result<Activation> Scheduler::forward() {
  BOBBY_TRY(const Activation logits, loaded_.model->step(sequences_, pool_.storage()));
  BOBBY_CHECK(read(logits));
  return logits;
}

/// What of the logits is needed on the host at once: enough of each row to draw from, where the
/// backend offers that and a row can do with it; otherwise all of them.
Result<void> Scheduler::read(Activation logits) {
  tops_ = {};
  all_logits_ = false;
  if (logits.rows == 0) return loaded_.model->backend().sync();
  const bool any_top = std::ranges::any_of(parts_, [](const Part& part) {
    return part.row != nullptr && !wants_all_logits(*part.job, *part.row);
  });
  if (any_top) {
    BOBBY_TRY(tops_, loaded_.model->backend().top_logits(logits));
    if (!tops_.empty()) return {};
  }
  all_logits_ = true;
  logits_.resize(static_cast<std::size_t>(logits.rows * logits.cols));
  return loaded_.model->backend().copy_out(logits, logits_);
}

/// One row of a step's logits on the host, to be changed at will.
Result<std::span<float>> Scheduler::logits_of(Activation logits, std::int64_t row) {
  const auto cols = static_cast<std::size_t>(logits.cols);
  if (all_logits_) return std::span(logits_).subspan(static_cast<std::size_t>(row) * cols, cols);
  logits_.resize(cols);
  BOBBY_CHECK(loaded_.model->backend().copy_out(logits.slice(row, 1), logits_));
  return std::span(logits_);
}

void Scheduler::take(const Part& part, Activation logits, const StepTime& time) {
  Job& job = *part.job;
  if (part.row != nullptr) {
    if (auto drawn = draw(job, *part.row, logits, part.logits_row); !drawn)
      job.error = std::move(drawn).error();
    return;
  }
  const double begin_ms = std::chrono::duration<double, std::milli>(time.begin - job.begin).count();
  job.trace.prefill.push_back({part.tokens, begin_ms, time.forward_ms});
  job.prefilled += part.tokens;
  if (!job.prefilling()) prompt_done(job, logits, part.logits_row);
}

void Scheduler::prompt_done(Job& job, Activation logits, std::int64_t logits_row) {
  if (job.request.on_prefill)
    job.request.on_prefill({"prefill", static_cast<std::uint64_t>(job.prompt_tokens()),
                            static_cast<std::uint64_t>(job.prompt_tokens())});
  auto last = logits_of(logits, logits_row);
  if (!last) {
    job.error = std::move(last).error();
    return;
  }
  job.prompt_logits.assign(last->begin(), last->end());
  job.prefill_ms = job.now_ms() - job.prefill_begin_ms;
  const auto whole = static_cast<std::size_t>(std::ssize(job.prompt_blocks) * pool_.block_tokens());
  pool_.keep_prompt(job.voice, std::span(job.prompt).first(whole), job.prompt_blocks);
  begin_row(job);
}

/// Draws the next token of a row that ran.
Result<void> Scheduler::draw(Job& job, Row& row, Activation logits, std::int64_t logits_row) {
  if (!tops_.empty() && !wants_all_logits(job, row)) {
    const TopLogits& top = tops_[static_cast<std::size_t>(logits_row)];
    const RandomPoint point = {job.request.seed, row.sample(),
                               static_cast<std::uint32_t>(row.drawn())};
    if (top.finite)
      if (const auto token = sample(top, job.request.sampling, point)) {
        accept(job, row, *token, {});
        return {};
      }
  }
  BOBBY_TRY(const std::span<float> all, logits_of(logits, logits_row));
  return draw_from(job, row, all);
}

/// Draws the next token of a row from its logits, which it may change.
Result<void> Scheduler::draw_from(Job& job, Row& row, std::span<float> logits) {
  const GenerationRequest& request = job.request;
  BOBBY_CHECK(check_logits(logits, std::ssize(row.history())));
  apply_penalties(logits, row.history(), request.sampling);
  const RowSoFar so_far = {row.index(), row.text()};
  if (request.logits_rule.wants && request.logits_rule.wants(so_far))
    request.logits_rule.apply(so_far, logits);
  const SampledToken token =
      sample(logits, request.sampling,
             {request.seed, row.sample(), static_cast<std::uint32_t>(row.drawn())});
  std::vector<SampledToken> top;
  if (request.top_logprobs > 0)
    top = likeliest(logits, static_cast<std::size_t>(request.top_logprobs));
  accept(job, row, token, top);
  return {};
}

void Scheduler::accept(Job& job, Row& row, const SampledToken& token,
                       std::span<const SampledToken> top) {
  const double now_ms = job.now_ms();
  const std::int64_t index = row.drawn();
  row.drawn_at(now_ms);
  job.trace.tokens.push_back({row.sample(), index, token.token, token.logprob, now_ms});
  const Row::Step step = row.push(token, job.ends);
  ++counters_.generated_tokens;
  RowAction action = RowAction::kContinue;
  if (job.request.on_token)
    action = job.request.on_token({.row = row.index(),
                                   .index = index,
                                   .token = token.token,
                                   .logprob = token.logprob,
                                   .text = step.text,
                                   .all_text = row.text(),
                                   .top = top,
                                   .finished = step.reason});
  if (step.reason)
    row.finish(*step.reason);
  else if (action == RowAction::kFinish)
    row.finish(FinishReason::kLengthLimit);
}

/// How many tokens of prompts the next step may take, after one that took so long.
void Scheduler::adapt_prompts(double took_ms, std::int64_t prompt_tokens) {
  if (loaded_.model->backend().bits_follow_chunks()) return;
  if (prompt_tokens == 0) {
    if (counters_.steps == 0) prompt_limit_ = std::min(options_.prefill_chunk, kFirstTokens);
    return;
  }
  const bool beside_rows = parts_.front().row != nullptr;
  const double share = beside_rows ? kBesideRows : 1.0;
  if (took_ms < kQuickMs * share && prompt_tokens >= prompt_limit_)
    prompt_limit_ = std::min(prompt_limit_ * 2, options_.prefill_chunk);
  if (took_ms > kSlowMs * share)
    prompt_limit_ = std::min(std::max(prompt_limit_ / 2, kFewestTokens), prompt_limit_);
}

}  // namespace bobby::detail
