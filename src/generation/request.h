#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/progress.h"
#include "generation/sampler.h"
#include "model/model.h"

namespace bobby {

/// Why a completion ended.
enum class FinishReason : std::uint8_t {
  kStop,         ///< a stop token or a stop string
  kLength,       ///< max_tokens, or the end of the model's context
  kLengthLimit,  ///< on_token asked for the end: the text is as long as it may be
  kCancelled,    ///< the request was cancelled
};

/// "stop", "length", "length_limit", "cancelled".
std::string_view finish_reason_name(FinishReason reason);

/// A token as it is drawn. Views are valid during the call.
struct TokenEvent {
  std::size_t row = 0;     ///< index into GenerationRequest::samples
  std::int64_t index = 0;  ///< tokens of this row before this one
  std::int32_t token = 0;
  float logprob = 0.0f;
  std::string_view text;              ///< what it adds: whole code points, no part of a stop string
  std::string_view all_text;          ///< the row's text with it
  std::span<const SampledToken> top;  ///< GenerationRequest::top_logprobs of them
  std::optional<FinishReason> finished;  ///< set when the token ends the row
};

enum class RowAction : std::uint8_t { kContinue, kFinish };

/// A row before its next token is drawn. Views are valid during the call.
struct RowSoFar {
  std::size_t row = 0;    ///< index into GenerationRequest::samples
  std::string_view text;  ///< what on_token has been given of it
};

/// Changes a row's logits before a token is drawn from them, after the penalties. For a row to be
/// the same whatever runs beside it, both may look at nothing but what they are given.
struct LogitsRule {
  /// Whether apply() would change anything now: only then does a device bring all logits.
  std::function<bool(const RowSoFar&)> wants = {};
  std::function<void(const RowSoFar&, std::span<float> logits)> apply = {};
};

/// Completions of one prompt. Row i draws from (seed, samples[i], position) alone: its text is the
/// same whatever runs beside it.
struct GenerationRequest {
  std::string prompt;                        ///< rendered text; either this or prompt_tokens
  std::vector<std::int32_t> prompt_tokens;   ///< used as they are when not empty
  std::vector<std::uint32_t> samples = {0};  ///< one completion for each sample number
  std::int64_t max_tokens = 100;             ///< for each completion
  std::int64_t top_logprobs = 0;             ///< likeliest tokens that each TokenEvent tells
  Sampling sampling;
  std::uint64_t seed = 0;

  std::vector<std::string> stop;       ///< strings that end a completion and are not part of it
  std::vector<std::int32_t> stop_ids;  ///< beside the model's eos_token_id
  bool ignore_eos = false;             ///< for measuring: only max_tokens ends a completion
  std::vector<AdapterUse> adapters;    ///< summed; from Generator::attach(); empty: the base

  LogitsRule logits_rule;  ///< empty: none
  std::function<RowAction(const TokenEvent&)> on_token = {};
  ProgressFn on_prefill = {};  ///< phase "prefill", in tokens of the prompt; called between chunks
  const std::atomic<bool>* cancel = nullptr;                      ///< looked at between steps
  std::optional<std::chrono::steady_clock::time_point> deadline;  ///< kTimeout once it has passed
  std::string client;                                             ///< who asks: clients take turns
};

/// {0, 1, ..., count - 1}: the samples of a request for `count` completions.
std::vector<std::uint32_t> first_samples(std::uint32_t count);

/// One row's result.
struct Completion {
  std::uint32_t sample = 0;
  std::vector<std::int32_t> tokens;  ///< without the stop token
  std::string text;                  ///< without the stop string, special tokens left out
  FinishReason finish_reason = FinishReason::kStop;
  double mean_logprob = 0.0;  ///< over drawn tokens, the stop token among them; at temperature 1
  std::uint64_t seed = 0;
  std::int64_t prompt_tokens = 0;
  std::int64_t cached_prompt_tokens = 0;  ///< of those, found in the prefix cache
  double prefill_ms = 0.0;                ///< of the whole request's prompt
  double decode_tok_s = 0.0;  ///< this row's tokens after its first, over the time they took
};

}  // namespace bobby
