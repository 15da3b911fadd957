#include "server/api/openai_request.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <fmt/format.h>

namespace bobby::server {
namespace {

using nlohmann::json;
using Names = std::vector<std::string_view>;

constexpr std::size_t kMostStops = 16;
constexpr std::size_t kMostPrompts = 128;
constexpr std::size_t kMostMessages = 2048;
constexpr std::size_t kMostAdapters = 16;
constexpr std::size_t kMostBiases = 4096;
constexpr std::int64_t kMostTokenId = 2147483647;

constexpr std::array<std::string_view, 19> kShared = {"model",
                                                      "max_tokens",
                                                      "temperature",
                                                      "top_p",
                                                      "n",
                                                      "stop",
                                                      "seed",
                                                      "stream",
                                                      "stream_options",
                                                      "logprobs",
                                                      "logit_bias",
                                                      "presence_penalty",
                                                      "user",
                                                      "top_k",
                                                      "frequency_penalty",
                                                      "min_p",
                                                      "lora",
                                                      "ignore_eos",
                                                      "repetition_penalty"};
constexpr std::array<std::string_view, 4> kChatOnly = {"messages", "max_completion_tokens",
                                                       "top_logprobs", "response_format"};
constexpr std::array<std::string_view, 1> kCompletionOnly = {"prompt"};

// What OpenAI's API knows beside. Absent, null, empty, false or its default, it asks for nothing.
constexpr std::array<std::string_view, 23> kRefused = {"tools",
                                                       "tool_choice",
                                                       "functions",
                                                       "function_call",
                                                       "audio",
                                                       "modalities",
                                                       "prediction",
                                                       "parallel_tool_calls",
                                                       "store",
                                                       "metadata",
                                                       "service_tier",
                                                       "reasoning_effort",
                                                       "verbosity",
                                                       "echo",
                                                       "best_of",
                                                       "suffix",
                                                       "web_search_options",
                                                       "safety_identifier",
                                                       "prompt_cache_key",
                                                       "moderation",
                                                       "prompt_cache_retention",
                                                       "guided_json",
                                                       "structured_outputs"};

/// A value of a refused field that asks for what happens anyway.
struct DefaultValue {
  std::string_view name;
  std::string_view value;  ///< as JSON
};
constexpr std::array<DefaultValue, 7> kDefaults = {{{"tool_choice", "\"none\""},
                                                    {"tool_choice", "\"auto\""},
                                                    {"function_call", "\"none\""},
                                                    {"modalities", "[\"text\"]"},
                                                    {"parallel_tool_calls", "true"},
                                                    {"service_tier", "\"auto\""},
                                                    {"best_of", "1"}}};

Names with_shared(std::span<const std::string_view> more) {
  Names names(kShared.begin(), kShared.end());
  names.insert(names.end(), more.begin(), more.end());
  return names;
}

Names with_refused(std::span<const std::string_view> taken) {
  Names names(taken.begin(), taken.end());
  names.insert(names.end(), kRefused.begin(), kRefused.end());
  return names;
}

bool asks_for_nothing(std::string_view name, const json& value) {
  if (value.is_null() || (value.is_boolean() && !value.get<bool>())) return true;
  if ((value.is_array() || value.is_object()) && value.empty()) return true;
  if (value.is_string() && value.get_ref<const std::string&>().empty()) return true;
  const std::string text = value.dump(-1, ' ', true, json::error_handler_t::replace);
  return std::ranges::any_of(kDefaults, [&](const DefaultValue& known) {
    return known.name == name && known.value == text;
  });
}

void refuse_unsupported(Fields& fields) {
  for (const std::string_view name : kRefused)
    if (const json* value = fields.find(name); value != nullptr && !asks_for_nothing(name, *value))
      fields.report(name, "is not supported here", {}, {}, "leave it out");
}

void read_stop(Fields& fields, std::vector<std::string>& stop) {
  const json* value = fields.find("stop");
  if (value == nullptr) return;
  const auto add = [&](const json& text) {
    if (!text.is_string() || text.get_ref<const std::string&>().empty())
      fields.report("stop", "has the wrong type", "a string, or a list of up to 16, none empty",
                    shown(text));
    else
      stop.push_back(text.get<std::string>());
  };
  if (!value->is_array()) return add(*value);
  if (const json* list = fields.list("stop", kMostStops))
    for (const json& text : *list) add(text);
}

void read_logit_bias(Fields& fields, SamplingFields& sampling) {
  const json* biases = fields.object("logit_bias");
  if (biases == nullptr) return;
  if (biases->size() > kMostBiases)
    fields.report("logit_bias", "has too many entries", fmt::format("at most {}", kMostBiases),
                  std::to_string(biases->size()));
  for (const auto& [name, value] : biases->items()) {
    std::int32_t token = 0;
    const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), token);
    if (error != std::errc() || end != name.data() + name.size() || token < 0) {
      fields.report("logit_bias", "names what is no token id", "a whole number", shown(json(name)));
      return;
    }
    auto bias = number_at(value, fields.path("logit_bias"), -100, 100);
    if (!bias) return fields.report(std::move(bias).error());
    sampling.logit_bias.emplace_back(token, static_cast<float>(*bias));
  }
}

void read_sampling(Fields& fields, SamplingFields& sampling) {
  sampling.temperature = fields.number("temperature", 0, 10);
  sampling.top_p = fields.number("top_p", 0, 1);
  sampling.min_p = fields.number("min_p", 0, 1);
  sampling.top_k = fields.integer("top_k", 0, kMostTokens);
  sampling.repetition_penalty = fields.number("repetition_penalty", 0.01, 10);
  sampling.presence_penalty = fields.number("presence_penalty", -2, 2);
  sampling.frequency_penalty = fields.number("frequency_penalty", -2, 2);
  read_logit_bias(fields, sampling);
}

void read_stream(Fields& fields, OpenAiRequest& request) {
  constexpr std::array<std::string_view, 2> kKnown = {"include_usage", "include_obfuscation"};
  request.stream = fields.boolean("stream").value_or(false);
  const json* options = fields.object("stream_options");
  if (options == nullptr) return;
  if (!request.stream) fields.report("stream_options", "goes with 'stream': true alone");
  Fields inner(*options, kKnown, "stream_options.");
  request.include_usage = inner.boolean("include_usage").value_or(false);
  if (inner.boolean("include_obfuscation").value_or(false))
    inner.report("include_obfuscation", "is not supported here", {}, {}, "leave it out");
  if (auto checked = inner.check(); !checked) fields.report(std::move(checked).error());
}

void read_shared(Fields& fields, OpenAiRequest& request) {
  refuse_unsupported(fields);
  request.model = fields.text("model").value_or("");
  request.max_tokens = fields.integer("max_tokens", 1, kMostTokens);
  request.n = fields.integer("n", 1, kMostChoices).value_or(1);
  if (const auto seed = fields.integer("seed", 0, kMostExact))
    request.seed = static_cast<std::uint64_t>(*seed);
  request.ignore_eos = fields.boolean("ignore_eos").value_or(false);
  fields.text("user");
  read_sampling(fields, request.sampling);
  read_stop(fields, request.stop);
  read_stream(fields, request);
  request.lora = read_adapters(fields, "lora");
}

// Content: a string, or text parts, which are joined.
std::string read_content(Fields& message, std::string_view path) {
  constexpr std::array<std::string_view, 2> kKnown = {"type", "text"};
  const json* content = message.find("content");
  if (content == nullptr || !content->is_array()) return message.text("content").value_or("");
  std::string text;
  for (std::size_t i = 0; i < content->size(); ++i) {
    const std::string where = fmt::format("{}content[{}]", path, i);
    if (!(*content)[i].is_object()) {
      message.report({.code = ErrorCode::kUsage,
                      .where = where,
                      .problem = "has the wrong type",
                      .expected = "an object",
                      .found = shown((*content)[i])});
      return text;
    }
    constexpr std::array<std::string_view, 1> kText = {"text"};
    const auto type = (*content)[i].find("type");
    if (type != (*content)[i].end() && type->is_string() && *type != "text") {
      message.report({.code = ErrorCode::kUnsupported,
                      .where = where + ".type",
                      .problem = "is not supported here",
                      .expected = "\"text\"",
                      .found = shown(*type)});
      return text;
    }
    Fields part((*content)[i], kKnown, where + ".");
    part.require("type");
    part.require("text");
    part.choice("type", kText);
    text += part.text("text").value_or("");
    if (auto checked = part.check(); !checked) message.report(std::move(checked).error());
  }
  return text;
}

std::optional<ChatMessage> read_message(Fields& fields, const json& value, std::size_t index) {
  constexpr std::array<std::string_view, 8> kKnown = {
      "role", "content", "name", "refusal", "audio", "tool_calls", "function_call", "annotations"};
  constexpr std::array<std::string_view, 3> kRoles = {"system", "user", "assistant"};
  const std::string path = fmt::format("messages[{}]", index);
  if (!value.is_object()) {
    fields.report(path, "has the wrong type", "an object", shown(value));
    return std::nullopt;
  }
  Fields message(value, kKnown, path + ".");
  for (const std::string_view name :
       {"name", "refusal", "audio", "tool_calls", "function_call", "annotations"})
    if (const json* field = message.find(name); field != nullptr && !asks_for_nothing(name, *field))
      message.report(name, "is not supported here", {}, {}, "leave it out");
  message.require("role");
  message.require("content");
  const auto role = message.choice("role", kRoles);
  std::string text = read_content(message, path + ".");
  if (auto checked = message.check(); !checked) {
    fields.report(std::move(checked).error());
    return std::nullopt;
  }
  const Role known = *role == "system" ? Role::kSystem
                     : *role == "user" ? Role::kUser
                                       : Role::kAssistant;
  return ChatMessage{known, std::move(text)};
}

void read_messages(Fields& fields, ChatRequest& request) {
  fields.require("messages");
  const json* messages = fields.list("messages", kMostMessages);
  if (messages == nullptr) return;
  if (messages->empty()) fields.report("messages", "is empty", "at least one message");
  for (std::size_t i = 0; i < messages->size(); ++i)
    if (auto message = read_message(fields, (*messages)[i], i))
      request.messages.push_back(*std::move(message));
}

void read_response_format(Fields& fields) {
  constexpr std::array<std::string_view, 2> kKnown = {"type", "json_schema"};
  const json* format = fields.object("response_format");
  if (format == nullptr || format->empty()) return;
  Fields inner(*format, kKnown, "response_format.");
  const auto type = inner.text("type");
  if (type != "text")
    inner.report("type", "is not supported here", "\"text\"",
                 type ? shown(json(*type)) : std::string("nothing"));
  if (auto checked = inner.check(); !checked) fields.report(std::move(checked).error());
}

void read_chat_logprobs(Fields& fields, ChatRequest& request) {
  const bool wanted = fields.boolean("logprobs").value_or(false);
  const auto top = fields.integer("top_logprobs", 0, kMostTopLogprobs);
  if (top && *top > 0 && !wanted) fields.report("top_logprobs", "goes with 'logprobs': true alone");
  if (wanted) request.top_logprobs = top.value_or(0);
}

bool is_token_list(const json& value) {
  return value.is_array() && !value.empty() &&
         std::ranges::all_of(value, [](const json& entry) { return entry.is_number(); });
}

std::optional<PromptInput> read_prompt(Fields& fields, const json& value, const std::string& path) {
  if (value.is_string()) {
    if (value.get_ref<const std::string&>().empty()) {
      fields.report(path, "is empty", "some text");
      return std::nullopt;
    }
    return PromptInput(value.get<std::string>());
  }
  if (!is_token_list(value)) {
    fields.report(path, "has the wrong type", "a string or a list of token ids", shown(value));
    return std::nullopt;
  }
  std::vector<std::int32_t> tokens;
  for (const json& entry : value) {
    auto token = integer_at(entry, path, 0, kMostTokenId);
    if (!token) {
      fields.report(std::move(token).error());
      return std::nullopt;
    }
    tokens.push_back(static_cast<std::int32_t>(*token));
  }
  return PromptInput(std::move(tokens));
}

void read_prompts(Fields& fields, CompletionRequest& request) {
  fields.require("prompt");
  const json* prompt = fields.find("prompt");
  if (prompt == nullptr) return;
  const bool several = prompt->is_array() && !is_token_list(*prompt);
  if (!several) {
    if (auto input = read_prompt(fields, *prompt, "prompt"))
      request.prompts.push_back(*std::move(input));
    return;
  }
  if (prompt->empty()) fields.report("prompt", "is empty", "at least one prompt");
  const json* list = fields.list("prompt", kMostPrompts);
  for (std::size_t i = 0; list != nullptr && i < list->size(); ++i)
    if (auto input = read_prompt(fields, (*list)[i], fmt::format("prompt[{}]", i)))
      request.prompts.push_back(*std::move(input));
}

}  // namespace

std::span<const std::string_view> chat_fields() {
  static const Names names = with_shared(kChatOnly);
  return names;
}

std::span<const std::string_view> completion_fields() {
  static const Names names = with_shared(kCompletionOnly);
  return names;
}

std::span<const std::string_view> refused_fields() {
  return kRefused;
}

std::vector<AdapterChoice> read_adapters(Fields& fields, std::string_view name) {
  constexpr std::array<std::string_view, 2> kKnown = {"name", "scale"};
  std::vector<AdapterChoice> choices;
  const json* list = fields.list(name, kMostAdapters);
  for (std::size_t i = 0; list != nullptr && i < list->size(); ++i) {
    const std::string path = fmt::format("{}[{}]", name, i);
    if (!(*list)[i].is_object()) {
      fields.report(path, "has the wrong type", "an object with a name", shown((*list)[i]));
      return choices;
    }
    Fields entry((*list)[i], kKnown, path + ".");
    entry.require("name");
    AdapterChoice choice{.name = entry.text("name").value_or(""), .scale = std::nullopt};
    if (const auto scale = entry.number("scale", -1000, 1000))
      choice.scale = static_cast<float>(*scale);
    if (auto checked = entry.check(); !checked) fields.report(std::move(checked).error());
    choices.push_back(std::move(choice));
  }
  return choices;
}

Result<ChatRequest> parse_chat_request(std::string_view body) {
  static const Names known = with_refused(chat_fields());
  BOBBY_TRY(const json object, parse_body(body));
  ChatRequest request;
  Fields fields(object, known);
  read_shared(fields, request);
  if (const auto most = fields.integer("max_completion_tokens", 1, kMostTokens)) {
    if (request.max_tokens && *request.max_tokens != *most)
      fields.report("max_completion_tokens", "is not what max_tokens says");
    request.max_tokens = most;
  }
  read_response_format(fields);
  read_chat_logprobs(fields, request);
  read_messages(fields, request);
  BOBBY_CHECK(fields.check());
  return request;
}

Result<CompletionRequest> parse_completion_request(std::string_view body) {
  static const Names known = with_refused(completion_fields());
  BOBBY_TRY(const json object, parse_body(body));
  CompletionRequest request;
  Fields fields(object, known);
  read_shared(fields, request);
  request.top_logprobs = fields.integer("logprobs", 0, kMostTopLogprobs);
  read_prompts(fields, request);
  BOBBY_CHECK(fields.check());
  return request;
}

}  // namespace bobby::server
