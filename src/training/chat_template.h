#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace bobby {

/// The chat templates whose rendering is written out here, as transformers renders them.
enum class ChatShape : std::uint8_t {
  kQwen3,   ///< tools, tool calls, and a think block in the last answer
  kChatMl,  ///< turns alone, after a default system message where the template has one (SmolLM2)
};

struct ChatTemplate {
  ChatShape shape = ChatShape::kChatMl;
  std::string default_system;  ///< kChatMl; "" for none
  bool reads_tools = false;    ///< kChatMl: the template writes tools, which is not rendered here
  bool checked = false;        ///< its text is one that was compared with transformers
};

/// The shape of a template by what stands in it; nullopt for one of another kind.
std::optional<ChatTemplate> recognise_chat_template(std::string_view text);

struct RenderOptions {
  bool generation_prompt = false;  ///< the beginning of an answer at the end
  bool thinking = true;            ///< mlx-lm's enable_thinking
  bool think_block = true;         ///< the empty think block in a last answer that has none
};

/// The text of a list of messages; `tools` may be null. kUsage for what the template would fail on,
/// such as a message without a content.
Result<std::string> render_chat(const ChatTemplate& chat, const nlohmann::ordered_json& messages,
                                const nlohmann::ordered_json& tools, const RenderOptions& options);

/// JSON as Python's json.dumps(value, ensure_ascii=False) writes it.
std::string python_json(const nlohmann::ordered_json& value);

}  // namespace bobby
