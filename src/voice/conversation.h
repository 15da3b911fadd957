#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "base/result.h"
#include "voice/prompt_form.h"

namespace bobby {

enum class Role : std::uint8_t { kSystem, kUser, kAssistant };

/// One turn of a conversation.
struct ChatMessage {
  Role role = Role::kUser;
  std::string text;
  bool operator==(const ChatMessage&) const = default;
};

/// The text to tokenize for the answer to the last message, which must be the user's. A first
/// message that is the system's replaces the form's own; an empty one asks for none. Every turn is
/// written as the last one is, earlier answers between the form's own markers.
/// kUsage: no user's message at the end, turns in a form that has none ('raw'), or text that holds
/// one of the form's markers.
Result<std::string> render_conversation(const PromptForm& form,
                                        std::span<const ChatMessage> messages);

}  // namespace bobby
