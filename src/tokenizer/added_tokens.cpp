#include "tokenizer/added_tokens.h"

#include <algorithm>

#include "tokenizer/char_class.h"
#include "tokenizer/utf8.h"

namespace bobby::detail {
namespace {

std::uint8_t classes_at(std::string_view text, std::size_t at) {
  return CharClasses::get().of(decode_utf8(text.data() + at).value);
}

/// Where the code point that ends at `end` begins. Precondition: end > 0.
std::size_t previous(std::string_view text, std::size_t end) {
  do --end;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80);
  return end;
}

bool word_before(std::string_view text, std::size_t at) {
  return at > 0 && (classes_at(text, previous(text, at)) & kWord);
}
bool word_after(std::string_view text, std::size_t at) {
  return at < text.size() && (classes_at(text, at) & kWord);
}
/// Start of the white space that ends at `at`.
std::size_t space_before(std::string_view text, std::size_t at) {
  while (at > 0) {
    const std::size_t begin = previous(text, at);
    if (!(classes_at(text, begin) & kSpace)) break;
    at = begin;
  }
  return at;
}
std::size_t space_after(std::string_view text, std::size_t at) {
  while (at < text.size() && (classes_at(text, at) & kSpace))
    at += decode_utf8(text.data() + at).length;
  return at;
}

}  // namespace

void AddedTokenMatcher::add(const AddedToken& token, std::string pattern) {
  is_first_byte_[static_cast<unsigned char>(pattern.front())] = true;
  entries_.push_back({std::move(pattern), token.id, token.single_word, token.lstrip, token.rstrip});
}

const std::string* AddedTokenMatcher::seal() {
  std::sort(entries_.begin(), entries_.end(),
            [](const Entry& a, const Entry& b) { return a.pattern < b.pattern; });
  const auto twice =
      std::adjacent_find(entries_.begin(), entries_.end(),
                         [](const Entry& a, const Entry& b) { return a.pattern == b.pattern; });
  return twice == entries_.end() ? nullptr : &twice->pattern;
}

const AddedTokenMatcher::Entry* AddedTokenMatcher::longest_prefix_of(std::string_view text) const {
  const Entry* longest = nullptr;
  // [begin, end): the entries that agree with the text so far; the shortest of them comes first.
  auto begin = entries_.begin();
  auto end = entries_.end();
  for (std::size_t depth = 0; depth < text.size(); ++depth) {
    const auto wanted = static_cast<unsigned char>(text[depth]);
    const auto byte = [depth](const Entry& entry) {
      return static_cast<unsigned char>(entry.pattern[depth]);
    };
    begin = std::lower_bound(begin, end, wanted, [&](const Entry& entry, unsigned char value) {
      return byte(entry) < value;
    });
    end = std::upper_bound(begin, end, wanted, [&](unsigned char value, const Entry& entry) {
      return value < byte(entry);
    });
    if (begin == end) break;
    if (begin->pattern.size() == depth + 1) {
      longest = &*begin;
      if (++begin == end) break;
    }
  }
  return longest;
}

std::vector<AddedTokenMatcher::Span> AddedTokenMatcher::split(std::string_view text) const {
  std::vector<Span> spans;
  std::size_t emitted = 0;
  std::size_t at = 0;
  while (at < text.size() && !entries_.empty()) {
    const Entry* found = is_first_byte_[static_cast<unsigned char>(text[at])]
                             ? longest_prefix_of(text.substr(at))
                             : nullptr;
    if (!found) {
      ++at;
      continue;
    }
    std::size_t begin = at;
    std::size_t end = at + found->pattern.size();
    at = end;
    if (found->single_word && (word_before(text, begin) || word_after(text, end))) continue;
    // White space that the token before took along is not taken again.
    if (found->lstrip) begin = std::max(space_before(text, begin), emitted);
    if (found->rstrip) end = space_after(text, end);
    if (emitted < begin) spans.push_back({text.substr(emitted, begin - emitted), -1});
    spans.push_back({text.substr(begin, end > begin ? end - begin : 0), found->id});
    emitted = end;
  }
  if (emitted < text.size()) spans.push_back({text.substr(emitted), -1});
  return spans;
}

}  // namespace bobby::detail
