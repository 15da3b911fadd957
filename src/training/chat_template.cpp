#include "training/chat_template.h"

#include <algorithm>
#include <array>
#include <fmt/format.h>
#include <span>
#include <utility>

#include "base/sha256.h"
#include "voice/prompt_form.h"

namespace bobby {
namespace {

using Json = nlohmann::ordered_json;

// Qwen3's (as shipped with Qwen3-8B) and SmolLM2's: the goldens are rendered with these.
constexpr std::array<std::string_view, 2> kChecked = {
    "87a2728cb8dc9fe424d624542f6060ec05a1d285ebbec578bb078900e33396b5",
    "872be49dbb638044ad01b60388f48d469ff2980e5f0dccdc22ec907db54d0788"};

constexpr std::string_view kToolsBegin =
    "# Tools\n\nYou may call one or more functions to assist with the user query.\n\nYou are "
    "provided with function signatures within <tools></tools> XML tags:\n<tools>";
constexpr std::string_view kToolsEnd =
    "\n</tools>\n\nFor each function call, return a json object with function name and arguments "
    "within <tool_call></tool_call> XML tags:\n<tool_call>\n{\"name\": <function-name>, "
    "\"arguments\": <args-json-object>}\n</tool_call><|im_end|>\n";

bool contains(std::string_view text, std::string_view part) {
  return text.find(part) != std::string_view::npos;
}

std::string_view left_stripped(std::string_view text) {
  text.remove_prefix(std::min(text.find_first_not_of('\n'), text.size()));
  return text;
}

std::string_view right_stripped(std::string_view text) {
  return text.substr(0, text.find_last_not_of('\n') + 1);
}

// A value that the template puts into the text; it must be a string there, as in Jinja.
Result<std::string> text_of(const Json& object, const char* key, const std::string& where) {
  const auto found = object.find(key);
  if (found != object.end() && found->is_string()) return found->get<std::string>();
  return fail({.code = ErrorCode::kUsage,
               .where = where,
               .problem = fmt::format("has no '{}' that is a text", key),
               .found = found == object.end() ? "no such key" : found->type_name()});
}

struct Message {
  std::string role;
  std::string content;
  std::optional<std::string> reasoning;
  const Json* tool_calls = nullptr;  ///< null without any
};

Result<std::vector<Message>> read_messages(const Json& messages, ChatShape shape) {
  std::vector<Message> read;
  for (std::size_t i = 0; i < messages.size(); ++i) {
    const Json& each = messages[i];
    const std::string where = fmt::format("message {}", i + 1);
    if (!each.is_object())
      return fail({.code = ErrorCode::kUsage, .where = where, .problem = "is not an object"});
    Message message;
    BOBBY_TRY(message.role, text_of(each, "role", where));
    BOBBY_TRY(message.content, text_of(each, "content", where));
    if (shape == ChatShape::kQwen3 && message.role == "assistant") {
      const auto reasoning = each.find("reasoning_content");
      if (reasoning != each.end() && !reasoning->is_null()) {
        BOBBY_TRY(message.reasoning, text_of(each, "reasoning_content", where));
      }
      const auto calls = each.find("tool_calls");
      if (calls != each.end() && !calls->is_null() && !calls->empty()) message.tool_calls = &*calls;
    }
    read.push_back(std::move(message));
  }
  return read;
}

Result<std::string> render_tool_call(const Json& call, const std::string& where) {
  const auto function = call.is_object() ? call.find("function") : call.end();
  const Json& named =
      call.is_object() && function != call.end() && !function->empty() ? *function : call;
  if (!named.is_object())
    return fail({.code = ErrorCode::kUsage, .where = where, .problem = "is not an object"});
  BOBBY_TRY(const std::string name, text_of(named, "name", where));
  const auto arguments = named.find("arguments");
  if (arguments == named.end())
    return fail({.code = ErrorCode::kUsage, .where = where, .problem = "has no 'arguments'"});
  return "<tool_call>\n{\"name\": \"" + name + "\", \"arguments\": " +
         (arguments->is_string() ? arguments->get<std::string>() : python_json(*arguments)) +
         "}\n</tool_call>";
}

class Qwen3Renderer {
 public:
  Qwen3Renderer(std::span<const Message> messages, const RenderOptions& options)
      : messages_(messages), options_(options) {
    last_query_ = messages.size() - 1;
    for (std::size_t i = messages.size(); i-- > 0;) {
      const Message& each = messages[i];
      const bool response =
          each.content.starts_with("<tool_response>") && each.content.ends_with("</tool_response>");
      if (each.role == "user" && !response) {
        last_query_ = i;
        break;
      }
    }
  }

  Result<std::string> render(const Json& tools) {
    begin(tools);
    for (std::size_t i = 0; i < messages_.size(); ++i) {
      const Message& each = messages_[i];
      if (each.role == "user" || (each.role == "system" && i > 0)) {
        text_ += "<|im_start|>" + each.role + "\n" + each.content + "<|im_end|>\n";
      } else if (each.role == "assistant") {
        BOBBY_CHECK(answer(i));
      } else if (each.role == "tool") {
        tool_response(i);
      }
    }
    if (options_.generation_prompt) {
      text_ += "<|im_start|>assistant\n";
      if (!options_.thinking) text_ += "<think>\n\n</think>\n\n";
    }
    return std::move(text_);
  }

 private:
  void begin(const Json& tools) {
    const bool system = messages_.front().role == "system";
    const std::string& content = messages_.front().content;
    if (tools.empty()) {
      if (system) text_ += "<|im_start|>system\n" + content + "<|im_end|>\n";
      return;
    }
    text_ += "<|im_start|>system\n";
    if (system) text_ += content + "\n\n";
    text_ += kToolsBegin;
    for (const Json& tool : tools) text_ += "\n" + python_json(tool);
    text_ += kToolsEnd;
  }

  Result<void> answer(std::size_t i) {
    const Message& message = messages_[i];
    std::string_view content = message.content;
    std::string_view reasoning;
    if (message.reasoning) {
      reasoning = *message.reasoning;
    } else if (const std::size_t first = content.find("</think>");
               first != std::string_view::npos) {
      reasoning = right_stripped(content.substr(0, first));
      const std::size_t opened = reasoning.rfind("<think>");
      if (opened != std::string_view::npos) reasoning.remove_prefix(opened + 7);
      reasoning = left_stripped(reasoning);
      content = left_stripped(content.substr(content.rfind("</think>") + 8));
    }
    text_ += "<|im_start|>assistant\n";
    const bool last = i + 1 == messages_.size();
    const bool empty_block = last && (options_.think_block || !reasoning.empty());
    if (i > last_query_ && (empty_block || (!last && !reasoning.empty()))) {
      text_ += "<think>\n";
      text_ += left_stripped(right_stripped(reasoning));
      text_ += "\n</think>\n\n";
      text_ += left_stripped(content);
    } else {
      text_ += content;
    }
    BOBBY_CHECK(tool_calls(i, !content.empty()));
    text_ += "<|im_end|>\n";
    return {};
  }

  Result<void> tool_calls(std::size_t i, bool after_content) {
    if (messages_[i].tool_calls == nullptr) return {};
    const Json& calls = *messages_[i].tool_calls;
    if (!calls.is_array())
      return fail({.code = ErrorCode::kUsage,
                   .where = fmt::format("message {}", i + 1),
                   .problem = "has 'tool_calls' that are no list"});
    for (std::size_t call = 0; call < calls.size(); ++call) {
      if (call > 0 || after_content) text_ += '\n';
      BOBBY_TRY(
          const std::string one,
          render_tool_call(calls[call], fmt::format("message {}: tool call {}", i + 1, call + 1)));
      text_ += one;
    }
    return {};
  }

  void tool_response(std::size_t i) {
    if (i == 0 || messages_[i - 1].role != "tool") text_ += "<|im_start|>user";
    text_ += "\n<tool_response>\n" + messages_[i].content + "\n</tool_response>";
    if (i + 1 == messages_.size() || messages_[i + 1].role != "tool") text_ += "<|im_end|>\n";
  }

  std::span<const Message> messages_;
  RenderOptions options_;
  std::size_t last_query_ = 0;
  std::string text_;
};

Result<std::string> render_chatml(const ChatTemplate& chat, std::span<const Message> messages,
                                  const Json& tools, const RenderOptions& options) {
  if (!tools.empty() && chat.reads_tools)
    return fail({.code = ErrorCode::kUnsupported,
                 .where = "key 'tools'",
                 .problem = "is written by this model's chat template in a way not known here"});
  std::string text;
  if (messages.front().role != "system" && !chat.default_system.empty())
    text = "<|im_start|>system\n" + chat.default_system + "<|im_end|>\n";
  for (const Message& each : messages)
    text += "<|im_start|>" + each.role + "\n" + each.content + "<|im_end|>\n";
  if (options.generation_prompt) text += "<|im_start|>assistant\n";
  return text;
}

}  // namespace

std::optional<ChatTemplate> recognise_chat_template(std::string_view text) {
  if (!contains(text, "<|im_start|>") || !contains(text, "<|im_end|>")) return std::nullopt;
  ChatTemplate chat;
  const std::string digest = sha256_hex(std::as_bytes(std::span(text)));
  chat.checked = std::ranges::find(kChecked, digest) != kChecked.end();
  if (contains(text, "enable_thinking")) {
    if (!contains(text, "last_query_index") || !contains(text, "reasoning_content"))
      return std::nullopt;
    chat.shape = ChatShape::kQwen3;
    return chat;
  }
  if (contains(text, "<think>")) return std::nullopt;
  const auto form = choose_prompt_form("", "", text);
  if (!form) return std::nullopt;
  chat.default_system = form->system.value_or("");
  chat.reads_tools = contains(text, "tools");
  return chat;
}

Result<std::string> render_chat(const ChatTemplate& chat, const Json& messages, const Json& tools,
                                const RenderOptions& options) {
  if (!messages.is_array() || messages.empty())
    return fail({.code = ErrorCode::kUsage,
                 .where = "messages",
                 .problem = "hold nothing to render",
                 .expected = "a list of at least one message"});
  const bool objects =
      std::ranges::all_of(tools, [](const Json& tool) { return tool.is_object(); });
  if (!tools.is_null() && (!tools.is_array() || !objects))
    return fail({.code = ErrorCode::kUsage,
                 .where = "key 'tools'",
                 .problem = "is not a list of objects",
                 .found = tools.type_name()});
  BOBBY_TRY(const std::vector<Message> read, read_messages(messages, chat.shape));
  if (chat.shape == ChatShape::kQwen3) return Qwen3Renderer(read, options).render(tools);
  return render_chatml(chat, read, tools, options);
}

}  // namespace bobby
