#pragma once

// One request on its way through the model. Generator's own; see generator.h.

#include <chrono>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <unordered_set>
#include <vector>

#include "backends/backend.h"
#include "base/result.h"
#include "generation/kv_blocks.h"
#include "generation/request.h"
#include "generation/stop_rules.h"
#include "generation/trace.h"
#include "tokenizer/tokenizer.h"

namespace bobby::detail {

/// Sizes of a request, worked out before anything runs.
struct RunPlan {
  std::int64_t prompt_tokens = 0;
  std::int64_t new_tokens = 0;     ///< drawn for a row at most
  std::int64_t rows = 0;           ///< decoded together
  std::int64_t prefill_chunk = 0;  ///< tokens of one prefill step at most
  std::int64_t block_tokens = 0;   ///< KvShape::block_tokens
  std::int64_t shared_blocks = 0;  ///< full blocks of the prompt, which all rows read
  std::int64_t tail_blocks = 0;    ///< 1: the end of the prompt, which each row takes a copy of
  std::int64_t own_blocks = 0;     ///< further blocks of each row
  std::int64_t pool_blocks() const { return shared_blocks + tail_blocks + rows * own_blocks; }
};

/// GeneratorOptions, with the model's own values in the place of zeros.
struct RunLimits {
  std::int64_t context = 0;  ///< tokens of a sequence
  std::int64_t max_rows = 0;
  std::int64_t prefill_chunk = 0;
  std::int64_t block_tokens = 0;
};

/// kLimit when the prompt leaves no room in the context.
Result<RunPlan> plan_run(const GenerationRequest& request, std::int64_t prompt_tokens,
                         const RunLimits& limits);

/// What a run reads, all of it outliving the run.
struct RunInput {
  const GenerationRequest* request = nullptr;
  std::span<const std::int32_t> prompt;
  Model* model = nullptr;
  const Tokenizer* tokenizer = nullptr;
  KvStorage* kv = nullptr;  ///< of at least plan.pool_blocks() blocks, for this run alone
};

/// The prompt is computed once, into blocks that all rows share as far as they are full; the last
/// one, which is not, each row copies and goes on in. Rows then decode together, and one that ends
/// makes place for one that waits.
class RequestRun {
 public:
  RequestRun(const RunInput& input, const RunPlan& plan, GenerationTrace& trace);
  Result<std::vector<Completion>> run();

 private:
  using Clock = std::chrono::steady_clock;

  struct Row {
    std::uint32_t sample = 0;
    std::vector<std::int32_t> blocks;   // shared ones first
    std::vector<std::int32_t> history;  // the prompt and what was drawn
    StreamDecoder decoder;
    StopStrings stops;
    std::string text;
    std::int64_t drawn = 0;
    double logprob_sum = 0.0;
    double first_ms = 0.0;  // when the first and the latest token were drawn
    double latest_ms = 0.0;
    std::optional<FinishReason> finished;
  };

  bool running(std::size_t index) const { return index < admitted_ && !rows_[index].finished; }
  Result<void> prefill();
  Result<void> admit();
  Result<void> take_blocks(Row& row);
  void copy_tail(const Row& row);
  Result<void> decode_step();
  Result<void> draw(std::size_t index, std::span<float> logits);
  void accept(std::size_t index, SampledToken token);
  void finish(Row& row, FinishReason reason);
  Result<void> step(std::span<const StepSequence> sequences);
  Result<void> copy_out(Activation logits);
  Result<bool> look_at(Activation logits);
  bool draw_from_top(std::size_t index, const TopLogits& top);
  bool rule_wants(std::size_t index) const;
  RandomPoint point(const Row& row) const;
  bool cancelled() const;
  double now_ms() const;
  Completion completion(const Row& row) const;

  RunInput input_;
  RunPlan plan_;
  GenerationTrace& trace_;
  Clock::time_point start_ = Clock::now();
  KvBlocks blocks_;
  std::unordered_set<std::int32_t> stop_ids_;
  std::vector<std::string> stop_strings_;
  std::vector<std::int32_t> shared_;  // the prompt's full blocks, owned by the run
  std::vector<std::int32_t> tail_;    // the block after them, if the prompt ends inside it
  std::vector<Row> rows_;             // one for each sample
  std::size_t admitted_ = 0;          // rows_[0 .. admitted_) have begun
  double prefill_ms_ = 0.0;
  std::vector<float> prompt_logits_;  // [vocab_size]: every row's first token is drawn from these
  std::vector<float> logits_;         // [rows of the last step, vocab_size], or of one of them
  std::span<const TopLogits> tops_;   // of the last step, where the backend offers them
};

}  // namespace bobby::detail
