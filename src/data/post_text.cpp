#include "data/post_text.h"

#include <cstdlib>
#include <memory>
#include <utf8proc.h>

#include "voice/folded_words.h"
#include "voice/links.h"
#include "voice/utf8.h"

namespace bobby::data {
namespace {

utf8proc_category_t category(char32_t c) {
  return utf8proc_category(static_cast<utf8proc_int32_t>(c));
}

bool is_mark(char32_t c) {
  const utf8proc_category_t of = category(c);
  return of >= UTF8PROC_CATEGORY_MN && of <= UTF8PROC_CATEGORY_ME;
}

// Marks that nobody sees: of direction, of byte order, word joiners. Joiners within emoji and words
// (U+200C, U+200D) and variation selectors are seen by what they do.
bool is_invisible(char32_t c) {
  return c == 0xFEFF || c == 0x200B || c == 0x2060 || c == 0x00AD || (c >= 0x200E && c <= 0x200F) ||
         (c >= 0x202A && c <= 0x202E) || (c >= 0x2066 && c <= 0x2069);
}

std::string mapped(std::string_view text, utf8proc_option_t options) {
  utf8proc_uint8_t* raw = nullptr;
  const utf8proc_ssize_t size =
      utf8proc_map(reinterpret_cast<const utf8proc_uint8_t*>(text.data()),
                   static_cast<utf8proc_ssize_t>(text.size()), &raw, options);
  const std::unique_ptr<utf8proc_uint8_t, decltype(&std::free)> owned(raw, &std::free);
  if (size < 0) return std::string(text);
  return {reinterpret_cast<const char*>(raw), static_cast<std::size_t>(size)};
}

bool is_ascii(std::string_view text) {
  for (const char c : text)
    if (static_cast<unsigned char>(c) >= 0x80) return false;
  return true;
}

}  // namespace

std::string tidy(std::string_view text) {
  std::string out;
  int line_ends = 0;
  bool space = false;
  const std::string composed = is_ascii(text) ? std::string() : mapped(text, UTF8PROC_COMPOSE);
  if (!composed.empty()) text = composed;
  for (std::size_t at = 0; at < text.size();) {
    const CodePoint point = decode_utf8(text, at);
    const std::string_view bytes = text.substr(at, point.length);
    at += point.length;
    const char32_t c = point.value;
    if (c == U'\r' && at < text.size() && text[at] == '\n') continue;
    if (c == U'\n' || c == U'\r' || c == 0x2028 || c == 0x2029) {
      ++line_ends;
      space = false;
      continue;
    }
    if (c == U'\t' || category(c) == UTF8PROC_CATEGORY_ZS) {
      space = true;
      continue;
    }
    if (category(c) == UTF8PROC_CATEGORY_CC || is_invisible(c)) continue;
    if (line_ends > 0 && !out.empty())
      out.append(line_ends > 1 ? "\n\n" : "\n");
    else if (space && !out.empty())
      out += ' ';
    line_ends = 0;
    space = false;
    out += bytes;
  }
  return out;
}

bool has_words(std::string_view text) {
  const std::string plain = without_links(text);
  bool in_tag = false;
  for (std::size_t at = 0; at < plain.size();) {
    const CodePoint point = decode_utf8(plain, at);
    at += point.length;
    const char32_t c = point.value;
    const bool word = is_word_character(c);
    if (word && !in_tag) return true;
    in_tag = c == U'@' || c == U'#' || c == 0xFF03 ||
             (in_tag && (word || is_mark(c) || c == U'_' || c == U'.' || c == U'-'));
  }
  return false;
}

}  // namespace bobby::data
