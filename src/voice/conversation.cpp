#include "voice/conversation.h"

#include <algorithm>

namespace bobby {
namespace {

Error usage(std::string problem, std::string hint) {
  return {.code = ErrorCode::kUsage,
          .where = "messages",
          .problem = std::move(problem),
          .hint = std::move(hint)};
}

/// What ends an answer: what ends the system's turn does, in every form that has turns.
std::string_view answer_end(const PromptForm& form) {
  return form.system_end;
}

std::string_view name_of(Role role) {
  switch (role) {
    case Role::kSystem: return "system message";
    case Role::kUser: return "user message";
    case Role::kAssistant: return "assistant message";
  }
  return "message";
}

Result<std::string> turn(const PromptForm& form, const ChatMessage& message) {
  BOBBY_CHECK(check_free_of_markers(form, name_of(message.role), message.text));
  const auto between = [&](std::string_view begin, std::string_view end) {
    return std::string(begin) + message.text + std::string(end);
  };
  switch (message.role) {
    case Role::kSystem: return between(form.system_begin, form.system_end);
    case Role::kUser: return between(form.user_begin, form.user_end);
    case Role::kAssistant: return between(form.assistant_begin, answer_end(form));
  }
  return std::string();
}

}  // namespace

Result<std::string> render_conversation(const PromptForm& form,
                                        std::span<const ChatMessage> messages) {
  if (messages.empty() || messages.back().role != Role::kUser)
    return fail(usage("do not end with the user's", "put the question last"));
  const bool has_system = messages.front().role == Role::kSystem;
  const auto without_turns = [&] {
    return usage("hold turns, for which the prompt form '" + form.name + "' has no marks",
                 "send one user message");
  };
  const bool turns = !form.system_end.empty() || !form.system_begin.empty();
  if (!turns && messages.size() > 1) return fail(without_turns());

  std::string text = form.begin;
  std::span<const ChatMessage> rest = messages;
  std::string system = has_system ? messages.front().text : form.system.value_or("");
  if (has_system) rest = messages.subspan(1);
  BOBBY_CHECK(check_free_of_markers(form, name_of(Role::kSystem), system));
  if (!system.empty() || !form.system_preface.empty())
    text += form.system_begin + form.system_preface + system + form.system_end;
  for (const ChatMessage& message : rest) {
    BOBBY_TRY(const std::string next, turn(form, message));
    text += next;
  }
  return text + form.assistant_begin;
}

}  // namespace bobby
