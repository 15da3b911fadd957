#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/progress.h"
#include "generation/request.h"
#include "posts/sentence_finish.h"
#include "voice/post_rules.h"
#include "voice/prompt_form.h"

namespace bobby {

/// N posts on a prompt. Post i's try t draws from (seed, i + t * kTryStride, position), so its text
/// depends on (seed, i, t) alone; a post that repeats another of the same request gives way to the
/// one with the lower number.
struct PostRequest {
  std::string prompt;
  std::uint32_t count = 3;
  PromptForm form;
  std::optional<std::string> system;  ///< replaces the form's own message; "": none
  PostRules rules;
  /// Near rules.char_limit, lead the model to the end of a sentence, so that a post need not be
  /// cut.
  bool finish_sentences = true;
  int retries = 5;   ///< further tries for a post that was rejected; greedy: none, they would agree
  bool raw = false;  ///< the model's text as it is: nothing cleaned, nothing rejected
  std::int64_t max_tokens = 100;
  Sampling sampling;
  std::optional<std::uint64_t> seed;  ///< unset: one is drawn, and returned
  std::vector<AdapterUse> adapters;   ///< from Generator::attach()

  /// Raw text of post `index` as it is written; `attempt` counts from 0.
  std::function<void(std::uint32_t index, int attempt, std::string_view text)> on_text = {};
  ProgressFn on_prefill = {};  ///< GenerationRequest::on_prefill
  const std::atomic<bool>* cancel = nullptr;
  std::optional<std::chrono::steady_clock::time_point> deadline;  ///< GenerationRequest::deadline
  std::string client;                                             ///< GenerationRequest::client
  /// Of the model's tokenizer; made when it is first needed if unset, which takes a while.
  std::shared_ptr<const SentenceFinish> sentence_finish;
};

/// Sample numbers of one post's tries are this far apart; at most this many posts a request.
inline constexpr std::uint32_t kTryStride = 1u << 20;
inline constexpr int kMostRetries = 1000;

/// An accepted post, and how it came about.
struct Post {
  std::uint32_t index = 0;  ///< its number within the request
  std::string text;
  std::int64_t graphemes = 0;
  std::int64_t tokens = 0;
  std::uint64_t seed = 0;  ///< the request's
  FinishReason finish_reason = FinishReason::kStop;
  int tries = 1;
  double mean_logprob = 0.0;
  double prefill_ms = 0.0;
  double decode_tok_s = 0.0;
};

/// Why a try did not become a post.
enum class Rejection : std::uint8_t { kEmpty, kTooShort, kDuplicate, kCancelled };
/// "empty", "too short", "duplicate", "cancelled".
std::string_view rejection_name(Rejection reason);

/// A try that did not become a post.
struct RejectedTry {
  std::uint32_t index = 0;
  int attempt = 0;
  Rejection reason = Rejection::kEmpty;
  std::string text;  ///< after clean-up
};

/// What became of a request.
struct PostBatch {
  std::uint64_t seed = 0;
  std::vector<Post> posts;            ///< accepted, by index; fewer than count when tries ran out
  std::vector<RejectedTry> rejected;  ///< by index, then attempt
  bool cancelled = false;             ///< `posts` holds what was complete by then
};

}  // namespace bobby
