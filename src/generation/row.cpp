#include "generation/row.h"

#include <utility>

namespace bobby::detail {

RowEnds::RowEnds(const GenerationRequest& request, const ModelConfig& config,
                 const Tokenizer& tokenizer, std::int64_t most_tokens)
    : new_tokens(most_tokens) {
  if (request.ignore_eos) return;
  stop_strings = request.stop;
  stop_ids.insert(config.eos_token_id.begin(), config.eos_token_id.end());
  stop_ids.insert(request.stop_ids.begin(), request.stop_ids.end());
  for (const std::string& stop : request.stop) {
    // Special tokens add no text, so as strings they would never be seen.
    const auto id = tokenizer.token_to_id(stop);
    if (id && tokenizer.is_special(*id)) stop_ids.insert(*id);
  }
}

Row::Row(std::size_t index, std::uint32_t sample, std::span<const std::int32_t> prompt,
         const Tokenizer& tokenizer, const RowEnds& ends)
    : index_(index),
      sample_(sample),
      history_(prompt.begin(), prompt.end()),
      decoder_(tokenizer),
      stops_(ends.stop_strings) {}

Row::Step Row::push(SampledToken token, const RowEnds& ends) {
  Step step;
  ++drawn_;
  logprob_sum_ += token.logprob;
  if (ends.stop_ids.contains(token.token)) {
    step.reason = FinishReason::kStop;
  } else {
    history_.push_back(token.token);
    step.text = stops_.push(decoder_.push(token.token));
    if (drawn_ == ends.new_tokens) step.reason = FinishReason::kLength;
  }
  if (step.reason && !stops_.stopped()) {
    step.text += stops_.push(decoder_.finish());
    if (!stops_.stopped()) step.text += stops_.finish();
  }
  if (stops_.stopped()) step.reason = FinishReason::kStop;
  text_ += step.text;
  return step;
}

void Row::drawn_at(double ms) {
  if (drawn_ == 0) first_ms_ = ms;
  latest_ms_ = ms;
}

Completion Row::completion(std::int64_t prompt_tokens) const {
  const auto generated = history().subspan(static_cast<std::size_t>(prompt_tokens));
  const double decode_ms = latest_ms_ - first_ms_;
  return {
      .sample = sample_,
      .tokens = {generated.begin(), generated.end()},
      .text = text_,
      .finish_reason = finished_.value_or(FinishReason::kCancelled),
      .mean_logprob = drawn_ == 0 ? 0.0 : logprob_sum_ / static_cast<double>(drawn_),
      .prompt_tokens = prompt_tokens,
      .decode_tok_s = decode_ms > 0.0 ? static_cast<double>(drawn_ - 1) * 1000.0 / decode_ms : 0.0};
}

}  // namespace bobby::detail
