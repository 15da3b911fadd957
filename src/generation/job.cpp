#include "generation/job.h"

#include <algorithm>
#include <utility>

#include "generation/kv_pool.h"

namespace bobby::detail {
namespace {

std::int64_t blocks_for(std::int64_t tokens, std::int64_t block_tokens) {
  return (tokens + block_tokens - 1) / block_tokens;
}

}  // namespace

Result<JobPlan> plan_job(const GenerationRequest& request, std::int64_t prompt_tokens,
                         std::int64_t context, std::int64_t block_tokens) {
  if (prompt_tokens >= context)
    return fail({.code = ErrorCode::kLimit,
                 .where = "prompt",
                 .problem = "leaves no room for an answer in the model's context",
                 .expected = "at most " + std::to_string(context - 1) + " tokens",
                 .found = std::to_string(prompt_tokens) + " tokens",
                 .hint = "shorten the prompt"});
  JobPlan plan;
  plan.new_tokens = std::min(request.max_tokens, context - prompt_tokens);
  plan.prompt_blocks = prompt_tokens / block_tokens;
  // The only row of a request goes on in the prompt's last block itself.
  plan.tail_blocks = request.samples.size() > 1 && prompt_tokens % block_tokens > 0 ? 1 : 0;
  // The last token of a row is drawn but never fed.
  const std::int64_t positions = prompt_tokens + plan.new_tokens - 1;
  plan.own_blocks = blocks_for(positions, block_tokens) - plan.prompt_blocks;
  return plan;
}

Job::Job(GenerationRequest asked, std::vector<std::int32_t> tokens, JobPlan needs, RowEnds row_ends,
         OnDone done)
    : request(std::move(asked)),
      prompt(std::move(tokens)),
      voice(voice_key(request.adapters)),
      plan(needs),
      ends(std::move(row_ends)),
      on_done(std::move(done)),
      completions(request.samples.size()) {
  trace.prompt_tokens = prompt_tokens();
  if (samples() > 1) trace.shared_prompt_tokens = prompt_tokens();
}

bool Job::cancelled() const {
  return request.cancel != nullptr && request.cancel->load(std::memory_order_relaxed);
}

double Job::now_ms() const {
  return std::chrono::duration<double, std::milli>(Clock::now() - begin).count();
}

}  // namespace bobby::detail
