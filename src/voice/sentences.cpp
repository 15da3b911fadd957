#include "voice/sentences.h"

#include <utf8proc.h>

#include "voice/graphemes.h"
#include "voice/utf8.h"

namespace bobby {

bool is_terminator(std::string_view grapheme) {
  return grapheme == "." || grapheme == "!" || grapheme == "?" || grapheme == "…" ||
         grapheme == "‽" || grapheme == "؟" || grapheme == "।";
}

bool is_wide_terminator(std::string_view grapheme) {
  return grapheme == "。" || grapheme == "！" || grapheme == "？" || grapheme == "｡";
}

bool is_closer(std::string_view grapheme) {
  const char32_t c = decode_utf8(grapheme, 0).value;
  const auto category = utf8proc_category(static_cast<utf8proc_int32_t>(c));
  return c == U'"' || c == U'\'' || category == UTF8PROC_CATEGORY_PE ||
         category == UTF8PROC_CATEGORY_PF;
}

bool ends_sentence(std::string_view text) {
  while (text.ends_with(' ')) text.remove_suffix(1);
  const auto graphemes = split_graphemes(text);
  for (auto at = graphemes.rbegin(); at != graphemes.rend(); ++at) {
    if (is_terminator(*at) || is_wide_terminator(*at)) return true;
    if (!is_closer(*at)) return false;
  }
  return false;
}

}  // namespace bobby
