#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "base/result.h"
#include "server/api/adapter_directory.h"
#include "server/api/json_fields.h"
#include "voice/conversation.h"

namespace bobby::server {

/// Bounds of a request's own numbers, beside what a Generator checks itself.
inline constexpr std::int64_t kMostTokens = 1000000;
inline constexpr std::int64_t kMostChoices = 128;
inline constexpr std::int64_t kMostTopLogprobs = 20;

/// How tokens are drawn, as far as a request says; the rest is the server's own.
struct SamplingFields {
  std::optional<double> temperature;
  std::optional<double> top_p;
  std::optional<double> min_p;
  std::optional<std::int64_t> top_k;
  std::optional<double> repetition_penalty;
  std::optional<double> presence_penalty;
  std::optional<double> frequency_penalty;
  std::vector<std::pair<std::int32_t, float>> logit_bias;
};

/// What chat and plain completions have in common.
struct OpenAiRequest {
  std::string model;  ///< "" is the base
  std::optional<std::int64_t> max_tokens;
  SamplingFields sampling;
  std::int64_t n = 1;
  std::vector<std::string> stop;
  std::optional<std::uint64_t> seed;
  bool stream = false;
  bool include_usage = false;
  bool ignore_eos = false;
  std::optional<std::int64_t> top_logprobs;  ///< unset: no log-probabilities are asked for
  std::vector<AdapterChoice> lora;           ///< beside the one that `model` may name
};

struct ChatRequest : OpenAiRequest {
  std::vector<ChatMessage> messages;
};

/// Text, or tokens as they are.
using PromptInput = std::variant<std::string, std::vector<std::int32_t>>;

struct CompletionRequest : OpenAiRequest {
  std::vector<PromptInput> prompts;
};

/// The body of POST /v1/chat/completions, POST /v1/completions. Errors name the field.
Result<ChatRequest> parse_chat_request(std::string_view body);
Result<CompletionRequest> parse_completion_request(std::string_view body);

/// The fields that these take, and OpenAI's others, which they refuse unless they ask for nothing.
std::span<const std::string_view> chat_fields();
std::span<const std::string_view> completion_fields();
std::span<const std::string_view> refused_fields();

/// [{name, scale}] of a field.
std::vector<AdapterChoice> read_adapters(Fields& fields, std::string_view name);

}  // namespace bobby::server
