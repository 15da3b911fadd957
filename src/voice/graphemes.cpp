#include "voice/graphemes.h"

#include <utf8proc.h>

#include "voice/utf8.h"

namespace bobby {
namespace {

/// Calls `cluster(begin, end)` for each cluster's bytes.
template <typename F>
void for_each_grapheme(std::string_view text, F cluster) {
  std::size_t begin = 0;
  char32_t previous = 0;
  utf8proc_int32_t state = 0;
  for (std::size_t at = 0; at < text.size();) {
    const CodePoint point = decode_utf8(text, at);
    if (at > 0 &&
        utf8proc_grapheme_break_stateful(static_cast<utf8proc_int32_t>(previous),
                                         static_cast<utf8proc_int32_t>(point.value), &state)) {
      cluster(begin, at);
      begin = at;
    }
    previous = point.value;
    at += point.length;
  }
  if (begin < text.size()) cluster(begin, text.size());
}

}  // namespace

std::int64_t count_graphemes(std::string_view text) {
  std::int64_t count = 0;
  for_each_grapheme(text, [&](std::size_t, std::size_t) { ++count; });
  return count;
}

std::vector<std::string_view> split_graphemes(std::string_view text) {
  std::vector<std::string_view> clusters;
  for_each_grapheme(text, [&](std::size_t begin, std::size_t end) {
    clusters.push_back(text.substr(begin, end - begin));
  });
  return clusters;
}

std::string_view grapheme_unicode_version() {
  return utf8proc_unicode_version();
}

}  // namespace bobby
