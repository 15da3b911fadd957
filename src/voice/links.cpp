#include "voice/links.h"

#include <algorithm>
#include <cstdint>

namespace bobby {
namespace {

bool is_word(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

// What a web address is written with; letters of other scripts are in percent codes, or end it.
bool is_of_address(char c) {
  return is_word(c) || (c != '\0' && std::string_view("-._~:/?#[]@!$&'()*+,;=%").find(c) !=
                                         std::string_view::npos);
}

// Where the address that begins at `begin` ends, punctuation of the sentence left out: brackets
// that it closes without having opened them among that.
std::size_t address_end(std::string_view text, std::size_t begin) {
  std::size_t end = begin;
  std::int64_t round = 0;  // closed, less opened
  std::int64_t square = 0;
  for (; end < text.size() && is_of_address(text[end]); ++end) {
    round += text[end] == ')' ? 1 : text[end] == '(' ? -1 : 0;
    square += text[end] == ']' ? 1 : text[end] == '[' ? -1 : 0;
  }
  for (; end > begin; --end) {
    const char last = text[end - 1];
    if (last == ')' && round > 0)
      --round;
    else if (last == ']' && square > 0)
      --square;
    else if (std::string_view(".,;:!?'").find(last) == std::string_view::npos)
      break;
  }
  return end;
}

bool same_letters(std::string_view text, std::string_view lower_case) {
  return std::ranges::equal(text, lower_case, [](char a, char b) {
    return (a >= 'A' && a <= 'Z' ? static_cast<char>(a + 32) : a) == b;
  });
}

}  // namespace

std::optional<LinkSpan> find_link(std::string_view text, std::size_t from) {
  for (std::size_t mark = text.find("://", from); mark != std::string_view::npos;
       mark = text.find("://", mark + 3)) {
    for (const std::string_view scheme : {std::string_view("https"), std::string_view("http")}) {
      if (mark < from + scheme.size()) continue;
      const std::size_t begin = mark - scheme.size();
      if (!same_letters(text.substr(begin, scheme.size()), scheme)) continue;
      if (begin > 0 && is_word(text[begin - 1])) continue;
      const std::size_t end = address_end(text, begin);
      if (end > mark + 3) return LinkSpan{begin, end};
    }
  }
  return std::nullopt;
}

std::string replace_links(std::string_view text,
                          const std::function<std::string(std::string_view)>& replacement) {
  std::string out;
  std::size_t at = 0;
  while (const auto link = find_link(text, at)) {
    out += text.substr(at, link->begin - at);
    const std::string put = replacement(text.substr(link->begin, link->end - link->begin));
    if (put.empty())
      while (out.ends_with(' ')) out.pop_back();
    out += put;
    at = link->end;
  }
  out += text.substr(at);
  return out;
}

std::string without_links(std::string_view text) {
  return replace_links(text, [](std::string_view) { return std::string(); });
}

}  // namespace bobby
