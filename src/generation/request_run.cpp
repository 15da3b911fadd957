#include "generation/request_run.h"

#include <algorithm>
#include <utility>

namespace bobby::detail {
namespace {

// A step of a prompt grows while it is quick and shrinks when it is slow, so that a slow machine
// still hears a cancellation within about a second. Results do not depend on it.
constexpr std::int64_t kFirstChunk = 128;
constexpr std::int64_t kSmallestChunk = 32;
constexpr double kQuickMs = 250.0;
constexpr double kSlowMs = 800.0;

std::int64_t blocks_for(std::int64_t tokens, std::int64_t block_tokens) {
  return (tokens + block_tokens - 1) / block_tokens;
}

}  // namespace

Result<RunPlan> plan_run(const GenerationRequest& request, std::int64_t prompt_tokens,
                         const RunLimits& limits) {
  const std::int64_t context = limits.context;
  if (prompt_tokens >= context)
    return fail({.code = ErrorCode::kLimit,
                 .where = "prompt",
                 .problem = "leaves no room for an answer in the model's context",
                 .expected = "at most " + std::to_string(context - 1) + " tokens",
                 .found = std::to_string(prompt_tokens) + " tokens",
                 .hint = "shorten the prompt"});
  RunPlan plan;
  plan.prompt_tokens = prompt_tokens;
  plan.new_tokens = std::min(request.max_tokens, context - prompt_tokens);
  plan.rows = std::min(static_cast<std::int64_t>(request.samples.size()), limits.max_rows);
  plan.prefill_chunk = limits.prefill_chunk;
  plan.block_tokens = limits.block_tokens;
  if (request.samples.size() > 1) {
    plan.shared_blocks = prompt_tokens / limits.block_tokens;
    plan.tail_blocks = prompt_tokens % limits.block_tokens > 0 ? 1 : 0;
  }
  // The last token of a row is drawn but never fed.
  const std::int64_t positions = prompt_tokens + plan.new_tokens - 1;
  plan.own_blocks = blocks_for(positions, limits.block_tokens) - plan.shared_blocks;
  return plan;
}

RequestRun::RequestRun(const RunInput& input, const RunPlan& plan, GenerationTrace& trace)
    : input_(input), plan_(plan), trace_(trace), blocks_(plan.pool_blocks()) {
  const GenerationRequest& request = *input.request;
  if (!request.ignore_eos) {
    const auto& eos = input.model->config().eos_token_id;
    stop_ids_.insert(eos.begin(), eos.end());
    stop_ids_.insert(request.stop_ids.begin(), request.stop_ids.end());
    for (const std::string& stop : request.stop) {
      // Special tokens add no text, so as strings they would never be seen.
      const auto id = input.tokenizer->token_to_id(stop);
      if (id && input.tokenizer->is_special(*id)) stop_ids_.insert(*id);
    }
  }
  for (const std::uint32_t sample : request.samples)
    rows_.push_back(
        {.sample = sample,
         .blocks = {},
         .history = {input.prompt.begin(), input.prompt.end()},
         .decoder = StreamDecoder(*input.tokenizer),
         .stops = StopStrings(request.ignore_eos ? std::vector<std::string>() : request.stop),
         .text = {},
         .finished = std::nullopt});
  trace_.prompt_tokens = plan.prompt_tokens;
  if (rows_.size() > 1) trace_.shared_prompt_tokens = plan.prompt_tokens;
}

Result<std::vector<Completion>> RequestRun::run() {
  BOBBY_CHECK(prefill());
  while (true) {
    if (cancelled())
      for (Row& row : rows_)
        if (!row.finished) finish(row, FinishReason::kCancelled);
    if (std::all_of(rows_.begin(), rows_.end(), [](const Row& row) { return row.finished; })) break;
    BOBBY_CHECK(admit());
    BOBBY_CHECK(decode_step());
  }
  std::vector<Completion> completions;
  for (const Row& row : rows_) completions.push_back(completion(row));
  return completions;
}

/// The shared blocks and a row's own.
Result<void> RequestRun::take_blocks(Row& row) {
  BOBBY_TRY(const std::vector<std::int32_t> own, blocks_.acquire(plan_.own_blocks));
  row.blocks = shared_;
  row.blocks.insert(row.blocks.end(), own.begin(), own.end());
  blocks_.share(shared_);
  return {};
}

/// The end of the prompt that fills no whole block, into the row's own first block.
void RequestRun::copy_tail(const Row& row) {
  if (tail_.empty()) return;
  const std::int32_t own = row.blocks[static_cast<std::size_t>(plan_.shared_blocks)];
  input_.model->backend().copy_kv_block(*input_.kv, tail_.front(), own);
}

/// The whole prompt: for all rows, or into the blocks of the only one.
Result<void> RequestRun::prefill() {
  Row& row = rows_.front();
  BOBBY_TRY(shared_, blocks_.acquire(plan_.shared_blocks));
  BOBBY_TRY(tail_, blocks_.acquire(plan_.tail_blocks));
  BOBBY_CHECK(take_blocks(row));
  std::vector<std::int32_t> prompt_blocks = shared_;
  prompt_blocks.insert(prompt_blocks.end(), tail_.begin(), tail_.end());
  if (rows_.size() == 1) prompt_blocks = row.blocks;

  const GenerationRequest& request = *input_.request;
  const auto report = [&](std::int64_t done) {
    if (request.on_prefill)
      request.on_prefill({"prefill", static_cast<std::uint64_t>(done),
                          static_cast<std::uint64_t>(plan_.prompt_tokens)});
  };
  const double begin_ms = now_ms();
  // Chunks grow and shrink with the time they take, unless that would show in the prompt's bits.
  const bool by_time = !input_.model->backend().bits_follow_chunks();
  std::int64_t chunk = by_time ? std::min(plan_.prefill_chunk, kFirstChunk) : plan_.prefill_chunk;
  for (std::int64_t done = 0; done < plan_.prompt_tokens;) {
    if (cancelled())
      return fail({.code = ErrorCode::kCancelled,
                   .where = "prompt",
                   .problem = "was cancelled after " + std::to_string(done) + " of " +
                              std::to_string(plan_.prompt_tokens) + " tokens"});
    report(done);
    const std::int64_t count = std::min(chunk, plan_.prompt_tokens - done);
    const bool last = done + count == plan_.prompt_tokens;
    const StepSequence sequence = {.tokens = input_.prompt.subspan(static_cast<std::size_t>(done),
                                                                   static_cast<std::size_t>(count)),
                                   .position = done,
                                   .blocks = prompt_blocks,
                                   .adapters = request.adapters,
                                   .logits = last ? LogitsRows::kLast : LogitsRows::kNone};
    const double chunk_begin_ms = now_ms();
    BOBBY_CHECK(step({&sequence, 1}));
    const double took_ms = now_ms() - chunk_begin_ms;
    trace_.prefill.push_back({count, chunk_begin_ms, took_ms});
    done += count;
    if (!by_time) continue;
    if (took_ms < kQuickMs) chunk = std::min(chunk * 2, plan_.prefill_chunk);
    if (took_ms > kSlowMs) chunk = std::min(std::max(chunk / 2, kSmallestChunk), chunk);
  }
  report(plan_.prompt_tokens);
  prefill_ms_ = now_ms() - begin_ms;
  prompt_logits_ = logits_;
  admitted_ = 1;
  copy_tail(row);
  return draw(0, logits_);
}

/// Lets waiting rows begin as far as there is place.
Result<void> RequestRun::admit() {
  std::size_t active = 0;
  for (std::size_t i = 0; i < admitted_; ++i) active += running(i) ? 1 : 0;
  std::vector<std::size_t> joining;
  for (; admitted_ < rows_.size() && active < static_cast<std::size_t>(plan_.rows); ++active) {
    Row& row = rows_[admitted_];
    BOBBY_CHECK(take_blocks(row));
    copy_tail(row);
    joining.push_back(admitted_++);
  }
  for (const std::size_t index : joining) {
    logits_ = prompt_logits_;
    BOBBY_CHECK(draw(index, logits_));
  }
  return {};
}

/// One more token for each row that runs.
Result<void> RequestRun::decode_step() {
  std::vector<std::size_t> active;
  std::vector<StepSequence> sequences;
  for (std::size_t index = 0; index < admitted_; ++index) {
    if (!running(index)) continue;
    const Row& row = rows_[index];
    active.push_back(index);
    sequences.push_back({.tokens = std::span(row.history).last(1),
                         .position = static_cast<std::int64_t>(row.history.size()) - 1,
                         .blocks = row.blocks,
                         .adapters = input_.request->adapters,
                         .logits = LogitsRows::kLast});
  }
  if (active.empty()) return {};
  const double begin_ms = now_ms();
  BOBBY_TRY(const Activation logits, input_.model->step(sequences, *input_.kv));
  BOBBY_TRY(const bool tops, look_at(logits));
  const double forward_ms = now_ms() - begin_ms;
  const auto vocab_size = static_cast<std::size_t>(logits.cols);
  for (std::size_t i = 0; i < active.size(); ++i) {
    if (tops) {
      if (draw_from_top(active[i], tops_[i])) continue;
      BOBBY_CHECK(copy_out(logits.slice(static_cast<std::int64_t>(i), 1)));
    }
    BOBBY_CHECK(draw(active[i], std::span(logits_).subspan(tops ? 0 : i * vocab_size, vocab_size)));
  }
  trace_.steps.push_back({static_cast<std::int64_t>(active.size()), begin_ms, forward_ms,
                          now_ms() - begin_ms - forward_ms});
  return {};
}

/// Runs the model; logits_ becomes what was asked for, on the host.
Result<void> RequestRun::step(std::span<const StepSequence> sequences) {
  BOBBY_TRY(const Activation logits, input_.model->step(sequences, *input_.kv));
  return copy_out(logits);
}

Result<void> RequestRun::copy_out(Activation logits) {
  logits_.resize(static_cast<std::size_t>(logits.rows * logits.cols));
  if (logits_.empty()) return {};
  return input_.model->backend().copy_out(logits, logits_);
}

/// What of the logits is needed on the host: tops_ (true), or all of them in logits_.
Result<bool> RequestRun::look_at(Activation logits) {
  if (!input_.request->sampling.wants_all_logits()) {
    BOBBY_TRY(tops_, input_.model->backend().top_logits(logits));
    if (!tops_.empty()) return true;
  }
  BOBBY_CHECK(copy_out(logits));
  return false;
}

/// Draws the next token of a row if what the backend told of its logits is enough.
bool RequestRun::draw_from_top(std::size_t index, const TopLogits& top) {
  if (!top.finite || rule_wants(index)) return false;
  const auto token = sample(top, input_.request->sampling, point(rows_[index]));
  if (token) accept(index, *token);
  return token.has_value();
}

bool RequestRun::rule_wants(std::size_t index) const {
  const auto& wants = input_.request->logits_rule.wants;
  return wants && wants({index, rows_[index].text});
}

RandomPoint RequestRun::point(const Row& row) const {
  return {input_.request->seed, row.sample, static_cast<std::uint32_t>(row.drawn)};
}

/// Draws the next token of a row from its logits, which it may change.
Result<void> RequestRun::draw(std::size_t index, std::span<float> logits) {
  const Row& row = rows_[index];
  const GenerationRequest& request = *input_.request;
  BOBBY_CHECK(check_logits(logits, static_cast<std::int64_t>(row.history.size())));
  apply_penalties(logits, row.history, request.sampling);
  if (rule_wants(index)) request.logits_rule.apply({index, row.text}, logits);
  accept(index, sample(logits, request.sampling, point(row)));
  return {};
}

void RequestRun::accept(std::size_t index, SampledToken token) {
  Row& row = rows_[index];
  row.latest_ms = now_ms();
  if (row.drawn == 0) row.first_ms = row.latest_ms;
  trace_.tokens.push_back({row.sample, row.drawn, token.token, token.logprob, row.latest_ms});
  const std::int64_t number = row.drawn++;
  row.logprob_sum += token.logprob;

  std::string added;
  std::optional<FinishReason> reason;
  if (stop_ids_.contains(token.token)) {
    reason = FinishReason::kStop;
  } else {
    row.history.push_back(token.token);
    added = row.stops.push(row.decoder.push(token.token));
    if (row.drawn == plan_.new_tokens) reason = FinishReason::kLength;
  }
  if (reason && !row.stops.stopped()) {
    added += row.stops.push(row.decoder.finish());
    if (!row.stops.stopped()) added += row.stops.finish();
  }
  if (row.stops.stopped()) reason = FinishReason::kStop;
  row.text += added;

  const auto& on_token = input_.request->on_token;
  const RowAction action = !on_token ? RowAction::kContinue
                                     : on_token({.row = index,
                                                 .index = number,
                                                 .token = token.token,
                                                 .logprob = token.logprob,
                                                 .text = added,
                                                 .all_text = row.text});
  if (!reason && action == RowAction::kFinish) reason = FinishReason::kLengthLimit;
  if (reason) finish(row, *reason);
}

void RequestRun::finish(Row& row, FinishReason reason) {
  row.finished = reason;
  blocks_.release(row.blocks);
  row.blocks.clear();
}

bool RequestRun::cancelled() const {
  const std::atomic<bool>* cancel = input_.request->cancel;
  return cancel != nullptr && cancel->load(std::memory_order_relaxed);
}

double RequestRun::now_ms() const {
  return std::chrono::duration<double, std::milli>(Clock::now() - start_).count();
}

Completion RequestRun::completion(const Row& row) const {
  const auto generated = std::span(row.history).subspan(input_.prompt.size());
  const double decode_ms = row.latest_ms - row.first_ms;
  return {.sample = row.sample,
          .tokens = {generated.begin(), generated.end()},
          .text = row.text,
          .finish_reason = *row.finished,
          .mean_logprob = row.drawn == 0 ? 0.0 : row.logprob_sum / static_cast<double>(row.drawn),
          .seed = input_.request->seed,
          .prompt_tokens = plan_.prompt_tokens,
          .prefill_ms = prefill_ms_,
          .decode_tok_s =
              decode_ms > 0.0 ? static_cast<double>(row.drawn - 1) * 1000.0 / decode_ms : 0.0};
}

}  // namespace bobby::detail
