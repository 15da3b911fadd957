#include "bluesky/language_tag.h"

#include <algorithm>
#include <vector>

namespace bobby::bluesky {
namespace {

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}
bool is_letter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}
bool is_letters(std::string_view part) {
  return std::ranges::all_of(part, is_letter);
}
bool is_digits(std::string_view part) {
  return std::ranges::all_of(part, is_digit);
}
bool is_private_mark(std::string_view part) {
  return part == "x" || part == "X";
}

// The parts between "-"; none where one is empty, longer than eight or of other characters.
std::vector<std::string_view> parts_of(std::string_view text) {
  constexpr std::size_t kLongestPart = 8;
  std::vector<std::string_view> parts;
  for (std::size_t begin = 0; begin <= text.size();) {
    const std::size_t end = std::min(text.find('-', begin), text.size());
    const std::string_view part = text.substr(begin, end - begin);
    if (part.empty() || part.size() > kLongestPart ||
        !std::ranges::all_of(part, [](char c) { return is_digit(c) || is_letter(c); }))
      return {};
    parts.push_back(part);
    begin = end + 1;
  }
  return parts;
}

// Walks over the parts in the order that the standard gives them.
class Walk {
 public:
  explicit Walk(std::vector<std::string_view> parts) : parts_(std::move(parts)) {}

  bool is_at_end() const { return at_ == parts_.size(); }

  bool language() {
    if (is_at_end() || !is_letters(parts_[at_]) || parts_[at_].size() < 2) return false;
    const bool may_extend = parts_[at_++].size() <= 3;
    for (int i = 0; i < 3 && may_extend && next_is(is_letters, 3); ++i) ++at_;
    return true;
  }
  void script() {
    if (next_is(is_letters, 4)) ++at_;
  }
  void region() {
    if (next_is(is_letters, 2) || next_is(is_digits, 3)) ++at_;
  }
  void variants() {
    while (!is_at_end() &&
           (parts_[at_].size() >= 5 || (parts_[at_].size() == 4 && is_digit(parts_[at_][0]))))
      ++at_;
  }
  bool extensions() {
    while (!is_at_end() && parts_[at_].size() == 1 && !is_private_mark(parts_[at_])) {
      const std::size_t mark = at_++;
      while (!is_at_end() && parts_[at_].size() >= 2) ++at_;
      if (at_ == mark + 1) return false;
    }
    return true;
  }
  bool private_use() {
    if (is_at_end() || !is_private_mark(parts_[at_])) return true;
    if (at_ + 1 == parts_.size()) return false;
    at_ = parts_.size();
    return true;
  }

 private:
  bool next_is(bool (*kind)(std::string_view), std::size_t length) const {
    return !is_at_end() && parts_[at_].size() == length && kind(parts_[at_]);
  }

  std::vector<std::string_view> parts_;
  std::size_t at_ = 0;
};

}  // namespace

bool is_language_tag(std::string_view text) {
  Walk walk(parts_of(text));
  if (walk.is_at_end()) return false;
  if (!is_private_mark(text.substr(0, text.find('-')))) {
    if (!walk.language()) return false;
    walk.script();
    walk.region();
    walk.variants();
    if (!walk.extensions()) return false;
  }
  return walk.private_use() && walk.is_at_end();
}

}  // namespace bobby::bluesky
