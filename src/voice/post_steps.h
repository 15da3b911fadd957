#pragma once

// The steps of clean_post(), one function each, on valid UTF-8. Nothing outside the room needs
// them.

#include <span>
#include <string>
#include <string_view>

#include "voice/post_rules.h"

namespace bobby::detail {

/// `text` up to the first of `stops`.
std::string_view cut_at_stop(std::string_view text, std::span<const std::string> stops);

/// Without <think>...</think>, nested ones included; an unclosed block runs to the end, one that
/// only closes began before the text. Sets `removed` when there was one.
std::string remove_thinking(std::string_view text, bool& removed);

/// A text without some of its parts, and how many they were.
struct Stripped {
  std::string text;
  int removed = 0;
};
Stripped remove_hashtags(std::string_view text);
Stripped remove_emojis(std::string_view text);

/// Every run of whitespace and control characters as one space, none at the ends.
std::string collapse_whitespace(std::string_view text);

/// Without the quotes that wrap all of it, however many pairs. Sets `trimmed` when there were any.
std::string_view trim_wrapping_quotes(std::string_view text, bool& trimmed);

/// At most `limit` graphemes: see post_rules.h. `text` has its whitespace collapsed.
std::string cut_to_limit(std::string_view text, std::int64_t limit, PostCut& cut);

}  // namespace bobby::detail
