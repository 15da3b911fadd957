#include "bot/mentions.h"

#include <algorithm>

#include "voice/folded_words.h"
#include "voice/utf8.h"

namespace bobby::bot {
namespace {

bool is_at(char32_t c) {
  return c == U'@' || c == 0xFF20 || c == 0xFE6B;
}

bool is_of_name(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
         c == '-' || c == '.';
}

// The name at the beginning of `text`; a point or a dash at its end is the sentence's.
std::string_view name_at(std::string_view text) {
  const auto end = std::ranges::find_if_not(text, is_of_name);
  std::string_view name = text.substr(0, static_cast<std::size_t>(end - text.begin()));
  while (!name.empty() && (name.back() == '.' || name.back() == '-')) name.remove_suffix(1);
  return name.starts_with('.') || name.starts_with('-') ? "" : name;
}

// What goes with the names that a text begins with.
bool joins_names(char c) {
  return c == ' ' || c == '\n' || c == '\t' || c == ',' || c == ':' || c == ';';
}

}  // namespace

WithoutMentions without_mentions(std::string_view text) {
  WithoutMentions made;
  bool after_word = false;
  bool leading = true;  // nothing but names so far
  for (std::size_t at = 0; at < text.size();) {
    const CodePoint point = decode_utf8(text, at);
    const std::string_view name =
        is_at(point.value) && !after_word ? name_at(text.substr(at + point.length)) : "";
    if (name.empty()) {
      if (!leading || made.mentions.empty() || !joins_names(text[at])) {
        leading = false;
        made.text += text.substr(at, point.length);
      }
      after_word = is_word_character(point.value);
      at += point.length;
      continue;
    }
    const std::size_t end = at + point.length + name.size();
    made.mentions.push_back({.name = std::string(name), .begin = at, .end = end});
    if (!leading) made.text += name.substr(0, name.find('.'));
    at = end;
    after_word = true;
  }
  return made;
}

}  // namespace bobby::bot
