#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "generation/request.h"
#include "server/api/errors.h"
#include "tokenizer/tokenizer.h"

namespace bobby::server {

/// A drawn token as an answer's log-probabilities tell of it.
struct TokenLogprob {
  std::int32_t token = 0;
  float logprob = 0.0f;
  std::vector<SampledToken> top;  ///< the likeliest, as many as were asked for
  std::int64_t offset = 0;        ///< code points of the choice's text before it
};

struct Choice {
  std::int64_t index = 0;
  std::string text;
  FinishReason finish_reason = FinishReason::kStop;
  std::vector<TokenLogprob> logprobs;
};

struct Usage {
  std::int64_t prompt_tokens = 0;
  std::int64_t completion_tokens = 0;
  std::int64_t cached_tokens = 0;  ///< of the prompts', found in the cache
};

enum class AnswerKind : std::uint8_t { kChat, kCompletion };

/// What every object of one answer has in common.
struct AnswerHead {
  AnswerKind kind = AnswerKind::kChat;
  std::string id;
  std::int64_t created = 0;  ///< seconds since 1970
  std::string model;
  std::string fingerprint;
  bool logprobs = false;
  bool include_usage = false;  ///< streamed: a last chunk with the usage, null in the others
  std::shared_ptr<const Tokenizer> tokenizer;
};

/// "chatcmpl-" or "cmpl-" and random digits.
std::string make_answer_id(AnswerKind kind);

/// OpenAI's objects: a whole answer, and the chunks of a streamed one.
Json answer_json(const AnswerHead& head, std::span<const Choice> choices, const Usage& usage);
/// Chat alone: the first chunk of a choice says whose turn it is.
Json role_chunk(const AnswerHead& head, std::int64_t index);
Json text_chunk(const AnswerHead& head, std::int64_t index, std::string_view text,
                std::span<const TokenLogprob> logprobs);
Json finish_chunk(const AnswerHead& head, std::int64_t index, FinishReason reason);
Json usage_chunk(const AnswerHead& head, const Usage& usage);

/// "stop" or "length": OpenAI knows no other reasons for text.
std::string_view openai_finish_reason(FinishReason reason);

/// Code points of valid UTF-8.
std::int64_t count_code_points(std::string_view text);

}  // namespace bobby::server
