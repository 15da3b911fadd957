#include <algorithm>
#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <utility>

#include "training/chat_template.h"
#include "training/dataset.h"
#include "training/record_json.h"
#include "voice/conversation.h"

namespace bobby {
namespace {

using Json = nlohmann::ordered_json;

Error bad(std::string problem, std::string hint = {}, ErrorCode code = ErrorCode::kUsage) {
  return {.code = code, .problem = std::move(problem), .hint = std::move(hint)};
}

const Json& member(const Json& record, const char* key) {
  static const Json kNull;
  const auto found = record.find(key);
  return found == record.end() ? kNull : *found;
}

std::optional<RecordForm> form_by_keys(const Json& record, const FeatureNames& names) {
  if (record.contains(names.prompt) && record.contains(names.completion))
    return RecordForm::kCompletions;
  if (record.contains(names.chat)) return RecordForm::kChat;
  if (record.contains(names.text)) return RecordForm::kText;
  return std::nullopt;
}

Error no_form(const FeatureNames& names) {
  return {.code = ErrorCode::kUsage,
          .problem = "has none of the forms that can be trained",
          .expected = fmt::format("'{}' and '{}', or '{}', or '{}'", names.prompt, names.completion,
                                  names.chat, names.text)};
}

std::optional<Role> role_of(std::string_view name) {
  if (name == "system") return Role::kSystem;
  if (name == "user") return Role::kUser;
  if (name == "assistant") return Role::kAssistant;
  return std::nullopt;
}

Result<std::vector<ChatMessage>> plain_turns(const Json& messages) {
  std::vector<ChatMessage> turns;
  for (std::size_t i = 0; i < messages.size(); ++i) {
    const Json& each = messages[i];
    const Json& role = each.is_object() ? member(each, "role") : each;
    const Json& content = each.is_object() ? member(each, "content") : each;
    const auto known = role.is_string() ? role_of(role.get<std::string>()) : std::nullopt;
    if (!each.is_object() || !known || !content.is_string())
      return fail({.code = ErrorCode::kUsage,
                   .where = fmt::format("message {}", i + 1),
                   .problem = "is not a turn",
                   .expected = "'role': system, user or assistant, and 'content': a text",
                   .found = known ? fmt::format("a content of type {}", content.type_name())
                                  : fmt::format("role {}", role.dump().substr(0, 40))});
    turns.push_back({*known, content.get<std::string>()});
  }
  return turns;
}

bool uses_tools(const Json& messages, const Json& tools) {
  if (!tools.is_null() && !tools.empty()) return true;
  return std::ranges::any_of(messages, [](const Json& each) {
    return each.is_object() &&
           (!member(each, "tool_calls").empty() || member(each, "role") == "tool");
  });
}

}  // namespace

struct RecordEncoder::Impl {
  const Tokenizer* tokenizer = nullptr;
  EncodingOptions options;
  std::optional<ChatTemplate> chat;  ///< the model's, where it is one of a known shape
  std::optional<std::int32_t> stop;  ///< ends an answer in our form

  void append(std::vector<std::int32_t>& tokens, std::string_view text) const {
    const std::vector<std::int32_t> more = tokenizer->encode(text);
    tokens.insert(tokens.end(), more.begin(), more.end());
  }

  Result<TrainingExample> encode_text(const Json& record) const {
    if (options.mask_prompt)
      return fail(bad("is a text, which has no prompt to mask", "take mask_prompt out"));
    const Json& text = member(record, options.features.text.c_str());
    if (!text.is_string())
      return fail(bad(fmt::format("has a '{}' that is no text", options.features.text)));
    TrainingExample example;
    example.tokens = options.facts.text_begin;
    append(example.tokens, text.get<std::string>());
    if (example.tokens.empty()) return fail(bad("is an empty text"));
    if (!options.facts.eos)
      return fail(
          bad("cannot be ended: the tokenizer names no eos_token", "", ErrorCode::kUnsupported));
    if (example.tokens.back() != *options.facts.eos) example.tokens.push_back(*options.facts.eos);
    return example;
  }

  Result<TrainingExample> encode_chat(const Json& messages, const Json& tools) const {
    if (!messages.is_array() || messages.empty())
      return fail(
          bad(fmt::format("has a '{}' that is no list of messages", options.features.chat)));
    if (options.compat_mlx || uses_tools(messages, tools)) return encode_template(messages, tools);
    return encode_form(messages);
  }

  // As mlx-lm: the whole conversation by the template; the prompt is all but the last message.
  Result<TrainingExample> encode_template(const Json& messages, const Json& tools) const {
    if (!chat)
      return fail(bad("needs the model's chat template, which is of a shape not known here",
                      "write the records as text", ErrorCode::kUnsupported));
    if (!options.compat_mlx && chat->shape != ChatShape::kQwen3)
      return fail(bad("has tools, which the prompt form of this model has no place for"));
    RenderOptions render{.generation_prompt = false,
                         .thinking = options.facts.has_thinking || !options.compat_mlx,
                         .think_block = options.compat_mlx};
    BOBBY_TRY(std::string text, render_chat(*chat, messages, tools, render));
    // Ours: what ends the answer is trained, the line end after it is not.
    if (!options.compat_mlx && text.ends_with("<|im_end|>\n")) text.pop_back();
    TrainingExample example;
    append(example.tokens, text);
    if (!options.mask_prompt) return example;
    Json prompt = messages;
    const Json last = prompt.back();
    prompt.erase(prompt.size() - 1);
    render.generation_prompt = last.is_object() && member(last, "role") == "assistant";
    auto prefix = render_chat(*chat, prompt, tools, render);
    if (!prefix) return fail(bad("has no prompt before its last message, which mask_prompt needs"));
    example.loss_begin = static_cast<std::int64_t>(tokenizer->encode(*prefix).size());
    return example;
  }

  // Ours: the prompt just as it is asked for when posts are written, so its tokens stand alone.
  Result<TrainingExample> encode_form(const Json& messages) const {
    BOBBY_TRY(std::vector<ChatMessage> turns, plain_turns(messages));
    if (turns.back().role != Role::kAssistant)
      return fail(bad("does not end with the assistant's message, which is what is trained"));
    const std::string answer = std::move(turns.back().text);
    turns.pop_back();
    if (answer.empty()) return fail(bad("has an empty answer"));
    BOBBY_CHECK(check_free_of_markers(options.form, "assistant message", answer));
    BOBBY_TRY(const std::string prompt, render_conversation(options.form, turns));
    TrainingExample example;
    append(example.tokens, prompt);
    if (options.mask_prompt) example.loss_begin = static_cast<std::int64_t>(example.tokens.size());
    append(example.tokens, answer);
    if (!stop)
      return fail(
          bad("cannot be ended: neither the prompt form nor the tokenizer has a token for it", "",
              ErrorCode::kUnsupported));
    example.tokens.push_back(*stop);
    return example;
  }

  Result<TrainingExample> encode(const Json& record, RecordForm form) const {
    const FeatureNames& names = options.features;
    const Json& tools = member(record, "tools");
    switch (form) {
      case RecordForm::kText: return encode_text(record);
      case RecordForm::kChat: return encode_chat(member(record, names.chat.c_str()), tools);
      case RecordForm::kCompletions: break;
    }
    const Json& prompt = member(record, names.prompt.c_str());
    const Json& completion = member(record, names.completion.c_str());
    if (!prompt.is_string() || !completion.is_string())
      return fail(
          bad(fmt::format("has a '{}' or '{}' that is no text", names.prompt, names.completion)));
    return encode_chat(Json::array({{{"role", "user"}, {"content", prompt}},
                                    {{"role", "assistant"}, {"content", completion}}}),
                       tools);
  }
};

Result<RecordEncoder> RecordEncoder::make(const Tokenizer& tokenizer, EncodingOptions options) {
  auto impl = std::make_unique<Impl>();
  impl->tokenizer = &tokenizer;
  impl->chat = recognise_chat_template(options.facts.chat_template);
  for (const std::string& stop : options.form.stops)
    if (!impl->stop) impl->stop = tokenizer.token_to_id(stop);
  if (!impl->stop) impl->stop = options.facts.eos;
  impl->options = std::move(options);
  return RecordEncoder(std::move(impl));
}

RecordEncoder::RecordEncoder(std::unique_ptr<const Impl> impl) : impl_(std::move(impl)) {}
RecordEncoder::RecordEncoder(RecordEncoder&&) noexcept = default;
RecordEncoder& RecordEncoder::operator=(RecordEncoder&&) noexcept = default;
RecordEncoder::~RecordEncoder() = default;

const EncodingOptions& RecordEncoder::options() const {
  return impl_->options;
}

std::string RecordEncoder::template_note() const {
  if (!impl_->options.compat_mlx || (impl_->chat && impl_->chat->checked)) return "";
  return "the model's chat template is not one that was compared with transformers: the tokens may "
         "differ from mlx-lm's";
}

Result<RecordForm> RecordEncoder::form_of(std::string_view line, const std::string& where) const {
  BOBBY_TRY(const Json record, parse_record(line, where));
  if (const auto form = form_by_keys(record, impl_->options.features)) return *form;
  return fail(no_form(impl_->options.features).in(where));
}

Result<TrainingExample> RecordEncoder::encode(std::string_view line, const std::string& where,
                                              std::optional<RecordForm> form) const {
  BOBBY_TRY(const Json record, parse_record(line, where));
  if (!form) form = form_by_keys(record, impl_->options.features);
  if (!form) return fail(no_form(impl_->options.features).in(where));
  auto example = impl_->encode(record, *form);
  if (!example) return fail(std::move(example).error().in(where));
  example->keys = static_cast<std::int64_t>(record.size());
  return example;
}

}  // namespace bobby
