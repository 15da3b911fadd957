#include "server/api/completion_json.h"

#include <algorithm>
#include <fmt/format.h>
#include <random>

#include "voice/utf8.h"

namespace bobby::server {
namespace {

std::string_view bytes_of(const AnswerHead& head, std::int32_t token) {
  return head.tokenizer->token_bytes(token).value_or(std::string_view());
}

Json byte_list(std::string_view bytes) {
  Json list = Json::array();
  for (const char byte : bytes) list.push_back(static_cast<unsigned char>(byte));
  return list;
}

Json chat_token(const AnswerHead& head, const SampledToken& token) {
  const std::string_view bytes = bytes_of(head, token.token);
  return {{"token", repair_utf8(bytes)}, {"logprob", token.logprob}, {"bytes", byte_list(bytes)}};
}

Json chat_logprobs(const AnswerHead& head, std::span<const TokenLogprob> logprobs) {
  Json content = Json::array();
  for (const TokenLogprob& each : logprobs) {
    Json token = chat_token(head, {each.token, each.logprob});
    token["top_logprobs"] = Json::array();
    for (const SampledToken& other : each.top)
      token["top_logprobs"].push_back(chat_token(head, other));
    content.push_back(std::move(token));
  }
  return {{"content", std::move(content)}, {"refusal", nullptr}};
}

// Plain completions name a token that is no text by its bytes.
std::string completion_token(const AnswerHead& head, std::int32_t token) {
  const std::string_view bytes = bytes_of(head, token);
  std::string text = repair_utf8(bytes);
  if (text == bytes) return text;
  text = "bytes:";
  for (const char byte : bytes) text += fmt::format("\\x{:02x}", static_cast<unsigned char>(byte));
  return text;
}

Json completion_logprobs(const AnswerHead& head, std::span<const TokenLogprob> logprobs) {
  Json tokens = Json::array();
  Json token_logprobs = Json::array();
  Json top_logprobs = Json::array();
  Json offsets = Json::array();
  for (const TokenLogprob& each : logprobs) {
    tokens.push_back(completion_token(head, each.token));
    token_logprobs.push_back(each.logprob);
    Json top = Json::object();
    for (const SampledToken& other : each.top)
      top[completion_token(head, other.token)] = other.logprob;
    top[completion_token(head, each.token)] = each.logprob;  // what was drawn is always there
    top_logprobs.push_back(std::move(top));
    offsets.push_back(each.offset);
  }
  return {{"tokens", std::move(tokens)},
          {"token_logprobs", std::move(token_logprobs)},
          {"top_logprobs", std::move(top_logprobs)},
          {"text_offset", std::move(offsets)}};
}

Json logprobs_json(const AnswerHead& head, std::span<const TokenLogprob> logprobs) {
  if (!head.logprobs) return nullptr;
  return head.kind == AnswerKind::kChat ? chat_logprobs(head, logprobs)
                                        : completion_logprobs(head, logprobs);
}

Json usage_json(const Usage& usage) {
  return {{"prompt_tokens", usage.prompt_tokens},
          {"completion_tokens", usage.completion_tokens},
          {"total_tokens", usage.prompt_tokens + usage.completion_tokens},
          {"prompt_tokens_details", {{"cached_tokens", usage.cached_tokens}}}};
}

Json object_json(const AnswerHead& head, std::string_view object) {
  return {{"id", head.id},
          {"object", object},
          {"created", head.created},
          {"model", head.model},
          {"system_fingerprint", head.fingerprint}};
}

/// A chunk without choices yet.
Json chunk(const AnswerHead& head) {
  Json json = object_json(
      head, head.kind == AnswerKind::kChat ? "chat.completion.chunk" : "text_completion");
  json["choices"] = Json::array();
  if (head.include_usage) json["usage"] = nullptr;
  return json;
}

Json delta_chunk(const AnswerHead& head, std::int64_t index, Json delta, Json logprobs,
                 Json finish_reason) {
  Json json = chunk(head);
  json["choices"].push_back({{"index", index},
                             {"delta", std::move(delta)},
                             {"logprobs", std::move(logprobs)},
                             {"finish_reason", std::move(finish_reason)}});
  return json;
}

Json completion_chunk(const AnswerHead& head, std::int64_t index, std::string_view text,
                      Json logprobs, Json finish_reason) {
  Json json = chunk(head);
  json["choices"].push_back({{"text", text},
                             {"index", index},
                             {"logprobs", std::move(logprobs)},
                             {"finish_reason", std::move(finish_reason)}});
  return json;
}

}  // namespace

std::string_view openai_finish_reason(FinishReason reason) {
  return reason == FinishReason::kStop ? "stop" : "length";
}

std::int64_t count_code_points(std::string_view text) {
  return std::ranges::count_if(text, [](char byte) { return (byte & 0xC0) != 0x80; });
}

std::string make_answer_id(AnswerKind kind) {
  std::random_device device;
  return fmt::format("{}-{:08x}{:08x}{:08x}", kind == AnswerKind::kChat ? "chatcmpl" : "cmpl",
                     device(), device(), device());
}

Json answer_json(const AnswerHead& head, std::span<const Choice> choices, const Usage& usage) {
  const bool chat = head.kind == AnswerKind::kChat;
  Json json = object_json(head, chat ? "chat.completion" : "text_completion");
  json["choices"] = Json::array();
  for (const Choice& choice : choices) {
    Json entry = {{"index", choice.index}};
    if (chat)
      entry["message"] = {{"role", "assistant"}, {"content", choice.text}, {"refusal", nullptr}};
    else
      entry["text"] = choice.text;
    entry["logprobs"] = logprobs_json(head, choice.logprobs);
    entry["finish_reason"] = openai_finish_reason(choice.finish_reason);
    json["choices"].push_back(std::move(entry));
  }
  json["usage"] = usage_json(usage);
  return json;
}

Json role_chunk(const AnswerHead& head, std::int64_t index) {
  return delta_chunk(head, index, {{"role", "assistant"}, {"content", ""}}, nullptr, nullptr);
}

Json text_chunk(const AnswerHead& head, std::int64_t index, std::string_view text,
                std::span<const TokenLogprob> logprobs) {
  Json told = logprobs.empty() ? Json(nullptr) : logprobs_json(head, logprobs);
  if (head.kind == AnswerKind::kChat)
    return delta_chunk(head, index, {{"content", text}}, std::move(told), nullptr);
  return completion_chunk(head, index, text, std::move(told), nullptr);
}

Json finish_chunk(const AnswerHead& head, std::int64_t index, FinishReason reason) {
  if (head.kind == AnswerKind::kChat)
    return delta_chunk(head, index, Json::object(), nullptr, openai_finish_reason(reason));
  return completion_chunk(head, index, "", nullptr, openai_finish_reason(reason));
}

Json usage_chunk(const AnswerHead& head, const Usage& usage) {
  Json json = chunk(head);
  json["usage"] = usage_json(usage);
  return json;
}

}  // namespace bobby::server
