#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "generation/request.h"
#include "generation/row.h"
#include "generation/trace.h"

namespace bobby::detail {

/// What a request made, and where its time went.
struct JobResult {
  std::vector<Completion> completions;
  GenerationTrace trace;
};

/// How many blocks a request takes.
struct JobPlan {
  std::int64_t new_tokens = 0;     ///< drawn for a row at most
  std::int64_t prompt_blocks = 0;  ///< full blocks of the prompt, which all rows read
  std::int64_t tail_blocks = 0;    ///< 1: the end of the prompt, which each row takes a copy of
  std::int64_t own_blocks = 0;     ///< further blocks of each row

  /// To begin: the prompt and one row.
  std::int64_t first_blocks() const { return prompt_blocks + tail_blocks + own_blocks; }
  /// With `rows` rows at once.
  std::int64_t blocks(std::int64_t rows) const {
    return prompt_blocks + tail_blocks + rows * own_blocks;
  }
};

/// kLimit when the prompt leaves no room in `context` tokens.
Result<JobPlan> plan_job(const GenerationRequest& request, std::int64_t prompt_tokens,
                         std::int64_t context, std::int64_t block_tokens);

/// A request on its way through the engine: it waits, its prompt is computed, its rows run.
struct Job {
  using Clock = std::chrono::steady_clock;
  using OnDone = std::function<void(Result<JobResult>)>;

  Job(GenerationRequest asked, std::vector<std::int32_t> tokens, JobPlan needs, RowEnds row_ends,
      OnDone done);

  bool prefilling() const { return prefilled < prompt_tokens(); }
  std::int64_t prompt_tokens() const { return static_cast<std::int64_t>(prompt.size()); }
  std::size_t samples() const { return request.samples.size(); }
  /// Rows that have not begun.
  std::size_t rows_to_come() const { return samples() - begun; }
  bool cancelled() const;
  bool late(Clock::time_point now) const { return request.deadline && now >= *request.deadline; }
  double now_ms() const;

  GenerationRequest request;
  std::vector<std::int32_t> prompt;
  std::string voice;
  JobPlan plan;
  RowEnds ends;
  OnDone on_done;
  GenerationTrace trace;
  Clock::time_point begin = Clock::now();

  // Once admitted.
  std::vector<std::int32_t> prompt_blocks;
  std::vector<std::int32_t> tail;
  std::vector<std::int32_t> first_own;  ///< of the first row, taken with the prompt's
  std::int64_t prefilled = 0;           ///< tokens of the prompt that the cache holds
  std::int64_t found_cached = 0;        ///< of those, found there
  double prefill_begin_ms = 0.0;
  double prefill_ms = 0.0;
  std::uint64_t saturated_before = 0;
  std::vector<float> prompt_logits;  ///< [vocab_size]: every row's first token is drawn from these
  std::vector<std::unique_ptr<Row>> rows;  ///< that run
  std::size_t begun = 0;                   ///< rows that have begun
  std::vector<Completion> completions;     ///< one a sample
  std::optional<Error> error;
};

}  // namespace bobby::detail
