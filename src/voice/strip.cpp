// What is taken out of an answer: what follows a stop, think blocks, hashtags, emojis.

#include <algorithm>
#include <utf8proc.h>

#include "voice/graphemes.h"
#include "voice/post_steps.h"
#include "voice/utf8.h"

namespace bobby::detail {
namespace {

constexpr std::string_view kThinkBegin = "<think>";
constexpr std::string_view kThinkEnd = "</think>";
constexpr char32_t kTextPresentation = 0xFE0E;
constexpr char32_t kEmojiPresentation = 0xFE0F;
constexpr char32_t kKeycap = 0x20E3;

const utf8proc_property_t& property(char32_t c) {
  return *utf8proc_get_property(static_cast<utf8proc_int32_t>(c));
}

bool is_letter(char32_t c) {
  const auto category = property(c).category;
  return category >= UTF8PROC_CATEGORY_LU && category <= UTF8PROC_CATEGORY_LO;
}

/// Letters, marks (variation selectors aside), numbers, '_' and its kin, and the joiners that
/// scripts like Persian have inside words.
bool is_tag_character(char32_t c) {
  if (c == kTextPresentation || c == kEmojiPresentation || c == kKeycap) return false;
  if (c == 0x200C || c == 0x200D) return true;
  const auto category = property(c).category;
  return category >= UTF8PROC_CATEGORY_LU && category <= UTF8PROC_CATEGORY_PC;
}

bool is_hash(char32_t c) {
  return c == U'#' || c == 0xFF03;
}

bool is_tag_joiner(char32_t c) {
  return c == U'-' || c == U'\'' || c == 0x2019;
}

bool is_regional_indicator(char32_t c) {
  return c >= 0x1F1E6 && c <= 0x1F1FF;
}
bool is_skin_tone(char32_t c) {
  return c >= 0x1F3FB && c <= 0x1F3FF;
}

/// Pictographs below U+2600 that are pictures of themselves (Emoji_Presentation=Yes); the others
/// there, and the CJK signs, are text unless U+FE0F follows.
bool is_picture_by_default(char32_t c) {
  if (c < 0x2600)
    return c == 0x231A || c == 0x231B || (c >= 0x23E9 && c <= 0x23EC) || c == 0x23F0 ||
           c == 0x23F3 || c == 0x25FD || c == 0x25FE;
  return c < 0x3000 || c > 0x33FF;
}

bool is_emoji(std::string_view grapheme) {
  int pictographs = 0;
  bool picture = false, asks_picture = false, asks_text = false;
  for (std::size_t at = 0; at < grapheme.size();) {
    const CodePoint point = decode_utf8(grapheme, at);
    at += point.length;
    const char32_t c = point.value;
    if (is_regional_indicator(c) || is_skin_tone(c) || c == kKeycap) return true;
    asks_picture |= c == kEmojiPresentation;
    asks_text |= c == kTextPresentation;
    if (property(c).boundclass == UTF8PROC_BOUNDCLASS_EXTENDED_PICTOGRAPHIC) {
      ++pictographs;
      picture |= is_picture_by_default(c);
    }
  }
  if (pictographs > 1) return true;  // a ZWJ sequence
  return pictographs == 1 && !asks_text && (picture || asks_picture);
}

/// Whether a space before `c` is only there for what stood between them.
bool closes(char32_t c) {
  constexpr std::u32string_view kClosing = U".,!?;:)]}…。、！？";
  return kClosing.find(c) != std::u32string_view::npos;
}

/// A copy that leaves parts out. Where a part between a space and a closing sign (or another
/// space) goes, the space before it goes too: "so good ☕!" becomes "so good!".
class Remover {
 public:
  explicit Remover(std::string_view text) : text_(text) {}
  void keep(std::size_t begin, std::size_t end) { out_.text += text_.substr(begin, end - begin); }
  void remove(std::size_t end) {
    ++out_.removed;
    if (end < text_.size() && !out_.text.empty() && out_.text.back() == ' ') {
      const char32_t next = decode_utf8(text_, end).value;
      if (next == U' ' || closes(next)) out_.text.pop_back();
    }
  }
  Stripped take() { return std::move(out_); }

 private:
  std::string_view text_;
  Stripped out_;
};

/// End of the emojis that begin at `at`, or `at`.
std::size_t skip_emojis(std::string_view text, std::size_t at) {
  std::size_t end = at;
  for (const std::string_view grapheme : split_graphemes(text.substr(at))) {
    if (!is_emoji(grapheme)) break;
    end += grapheme.size();
  }
  return end;
}

/// End of the hashtag whose first '#' is at `at`, or `at` when there is none.
std::size_t hashtag_end(std::string_view text, std::size_t at) {
  if (at > 0) {
    const char32_t before = decode_utf8_before(text, at).value;
    if (is_tag_character(before) || before == U'&' || before == U'/') return at;
  }
  std::size_t end = at;
  while (end < text.size() && is_hash(decode_utf8(text, end).value))
    end += decode_utf8(text, end).length;
  const std::size_t after_emojis = skip_emojis(text, end);
  bool named = after_emojis > end;
  end = after_emojis;
  while (end < text.size()) {
    const CodePoint point = decode_utf8(text, end);
    std::size_t next = end + point.length;
    if (is_tag_joiner(point.value)) {
      if (next >= text.size() || !is_tag_character(decode_utf8(text, next).value)) break;
    } else if (!is_tag_character(point.value)) {
      break;
    }
    named |= is_letter(point.value);
    end = next;
  }
  return named ? end : at;
}

}  // namespace

std::string_view cut_at_stop(std::string_view text, std::span<const std::string> stops) {
  std::size_t end = text.size();
  for (const std::string& stop : stops)
    if (!stop.empty()) end = std::min(end, text.find(stop));
  return text.substr(0, end);
}

std::string remove_thinking(std::string_view text, bool& removed) {
  std::string kept;
  int depth = 0;
  std::size_t at = 0;
  while (at < text.size()) {
    const std::size_t begin = std::min(text.find(kThinkBegin, at), text.size());
    const std::size_t end = std::min(text.find(kThinkEnd, at), text.size());
    const std::size_t marker = std::min(begin, end);
    if (depth == 0) kept += text.substr(at, marker - at);
    if (marker == text.size()) break;
    removed = true;
    if (marker == begin) {
      ++depth;
      at = begin + kThinkBegin.size();
    } else {
      if (depth == 0) kept.clear();
      depth = std::max(depth - 1, 0);
      at = end + kThinkEnd.size();
    }
  }
  return kept;
}

Stripped remove_hashtags(std::string_view text) {
  Remover remover(text);
  for (std::size_t at = 0; at < text.size();) {
    const CodePoint point = decode_utf8(text, at);
    const std::size_t end = is_hash(point.value) ? hashtag_end(text, at) : at;
    if (end > at) {
      remover.remove(end);
      at = end;
      continue;
    }
    remover.keep(at, at + point.length);
    at += point.length;
  }
  return remover.take();
}

Stripped remove_emojis(std::string_view text) {
  Remover remover(text);
  std::size_t at = 0;
  for (const std::string_view grapheme : split_graphemes(text)) {
    if (is_emoji(grapheme))
      remover.remove(at + grapheme.size());
    else
      remover.keep(at, at + grapheme.size());
    at += grapheme.size();
  }
  return remover.take();
}

}  // namespace bobby::detail
