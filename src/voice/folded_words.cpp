#include "voice/folded_words.h"

#include <cstdlib>
#include <memory>
#include <utf8proc.h>

#include "voice/links.h"
#include "voice/utf8.h"

namespace bobby {
namespace {

constexpr auto kFold =
    static_cast<utf8proc_option_t>(UTF8PROC_DECOMPOSE | UTF8PROC_COMPAT | UTF8PROC_CASEFOLD |
                                   UTF8PROC_STRIPMARK | UTF8PROC_IGNORE);

std::string folded(const std::string& text) {
  utf8proc_uint8_t* raw = nullptr;
  const utf8proc_ssize_t size =
      utf8proc_map(reinterpret_cast<const utf8proc_uint8_t*>(text.data()),
                   static_cast<utf8proc_ssize_t>(text.size()), &raw, kFold);
  const std::unique_ptr<utf8proc_uint8_t, decltype(&std::free)> owned(raw, &std::free);
  if (size < 0) return text;
  return {reinterpret_cast<const char*>(raw), static_cast<std::size_t>(size)};
}

}  // namespace

bool is_word_character(char32_t c) {
  const utf8proc_category_t of = utf8proc_category(static_cast<utf8proc_int32_t>(c));
  return (of >= UTF8PROC_CATEGORY_LU && of <= UTF8PROC_CATEGORY_LO) ||
         (of >= UTF8PROC_CATEGORY_ND && of <= UTF8PROC_CATEGORY_NO);
}

std::string folded_words(std::string_view text) {
  const std::string plain = folded(without_links(text));
  std::string out;
  bool space = false;
  for (std::size_t at = 0; at < plain.size();) {
    const CodePoint point = decode_utf8(plain, at);
    const std::string_view bytes = std::string_view(plain).substr(at, point.length);
    at += point.length;
    if (!is_word_character(point.value)) {
      space = true;
      continue;
    }
    if (space && !out.empty()) out += ' ';
    space = false;
    out += bytes;
  }
  return out;
}

}  // namespace bobby
