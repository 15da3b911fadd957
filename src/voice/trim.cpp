// How what is left of an answer is put into shape: whitespace, wrapping quotes, length.

#include <array>
#include <utf8proc.h>
#include <vector>

#include "voice/graphemes.h"
#include "voice/post_steps.h"
#include "voice/sentences.h"
#include "voice/utf8.h"

namespace bobby::detail {
namespace {

/// A sentence is only kept as the whole post when it ends past this many graphemes.
constexpr std::int64_t kShortestSentenceCut = 50;
constexpr std::string_view kEllipsis = "...";

bool is_space(char32_t c) {
  const auto category = utf8proc_category(static_cast<utf8proc_int32_t>(c));
  return category == UTF8PROC_CATEGORY_ZS || category == UTF8PROC_CATEGORY_ZL ||
         category == UTF8PROC_CATEGORY_ZP || category == UTF8PROC_CATEGORY_CC;
}

bool is_word(char32_t c) {
  const auto category = utf8proc_category(static_cast<utf8proc_int32_t>(c));
  return category >= UTF8PROC_CATEGORY_LU && category <= UTF8PROC_CATEGORY_NO;
}

struct QuotePair {
  char32_t open;
  char32_t close;
};
constexpr std::array<QuotePair, 12> kQuotes = {{{U'"', U'"'},
                                                {U'\'', U'\''},
                                                {U'`', U'`'},
                                                {0x201C, 0x201D},    // “ ”
                                                {0x2018, 0x2019},    // ‘ ’
                                                {0x00AB, 0x00BB},    // « »
                                                {0x2039, 0x203A},    // ‹ ›
                                                {0x201E, 0x201C},    // „ “
                                                {0x201E, 0x201D},    // „ ”
                                                {0x201A, 0x2018},    // ‚ ‘
                                                {0x300C, 0x300D},    // 「 」
                                                {0x300E, 0x300F}}};  // 『 』

std::vector<char32_t> code_points(std::string_view text) {
  std::vector<char32_t> points;
  for (std::size_t at = 0; at < text.size();) {
    const CodePoint point = decode_utf8(text, at);
    points.push_back(point.value);
    at += point.length;
  }
  return points;
}

/// Whether the first code point opens a quotation that only the last one closes. A quote between
/// two letters is an apostrophe; one that looks both ways ('"') opens after a space or at the
/// beginning, and closes otherwise.
bool wraps(const std::vector<char32_t>& points, QuotePair pair) {
  if (points.size() < 2 || points.front() != pair.open || points.back() != pair.close) return false;
  int depth = 1;
  for (std::size_t i = 1; i + 1 < points.size(); ++i) {
    const char32_t c = points[i];
    if (c != pair.open && c != pair.close) continue;
    if (is_word(points[i - 1]) && is_word(points[i + 1])) continue;
    const bool opens = pair.open == pair.close ? !is_word(points[i - 1]) && is_word(points[i + 1])
                                               : c == pair.open;
    depth += opens ? 1 : -1;
    if (depth == 0) return false;
  }
  return depth == 1;
}

/// Number of leading graphemes, at most `limit`, that end with a sentence past the shortest; 0 when
/// there are none.
std::size_t last_sentence_end(const std::vector<std::string_view>& graphemes, std::size_t limit) {
  std::size_t found = 0;
  for (std::size_t i = 0; i < limit; ++i) {
    const bool wide = is_wide_terminator(graphemes[i]);
    if (!wide && !is_terminator(graphemes[i])) continue;
    std::size_t end = i + 1;
    while (end < graphemes.size() &&
           (is_terminator(graphemes[end]) || is_wide_terminator(graphemes[end]) ||
            is_closer(graphemes[end])))
      ++end;
    if (end > limit) break;
    if (wide || end == graphemes.size() || graphemes[end] == " ") found = end;
    i = end - 1;
  }
  return found > static_cast<std::size_t>(kShortestSentenceCut) ? found : 0;
}

std::string join(const std::vector<std::string_view>& graphemes, std::size_t count) {
  std::string text;
  for (std::size_t i = 0; i < count; ++i) text += graphemes[i];
  return text;
}

/// Whether a word may not keep this sign before the dots.
bool trails(std::string_view grapheme) {
  return grapheme == " " || grapheme == "," || grapheme == ";" || grapheme == ":" ||
         grapheme == "." || grapheme == "-" || grapheme == "–" || grapheme == "—";
}

}  // namespace

std::string collapse_whitespace(std::string_view text) {
  std::string collapsed;
  bool pending = false;
  for (std::size_t at = 0; at < text.size();) {
    const CodePoint point = decode_utf8(text, at);
    if (is_space(point.value)) {
      pending = !collapsed.empty();
    } else {
      if (pending) collapsed += ' ';
      pending = false;
      collapsed += text.substr(at, point.length);
    }
    at += point.length;
  }
  return collapsed;
}

std::string_view trim_wrapping_quotes(std::string_view text, bool& trimmed) {
  for (bool again = true; again;) {
    again = false;
    const std::vector<char32_t> points = code_points(text);
    for (const QuotePair pair : kQuotes) {
      if (!wraps(points, pair)) continue;
      const std::size_t first = decode_utf8(text, 0).length;
      const std::size_t last = decode_utf8_before(text, text.size()).length;
      text = text.substr(first, text.size() - first - last);
      while (text.starts_with(' ')) text.remove_prefix(1);
      while (text.ends_with(' ')) text.remove_suffix(1);
      trimmed = again = true;
      break;
    }
  }
  return text;
}

std::string cut_to_limit(std::string_view text, std::int64_t limit, PostCut& cut) {
  const std::vector<std::string_view> graphemes = split_graphemes(text);
  const auto most = static_cast<std::size_t>(limit);
  if (graphemes.size() <= most) return std::string(text);
  if (const std::size_t end = last_sentence_end(graphemes, most); end > 0) {
    cut = PostCut::kSentence;
    return join(graphemes, end);
  }
  cut = PostCut::kGrapheme;
  if (most <= kEllipsis.size()) return join(graphemes, most);
  const std::size_t room = most - kEllipsis.size();
  std::size_t end = room;
  while (end > 0 && graphemes[end] != " ") --end;
  while (end > 0 && trails(graphemes[end - 1])) --end;
  if (end > 0)
    cut = PostCut::kWord;
  else
    end = room;
  return join(graphemes, end) + std::string(kEllipsis);
}

}  // namespace bobby::detail
