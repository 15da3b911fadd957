#include "bot/common_words.h"

#include <algorithm>
#include <iterator>

#include "voice/folded_words.h"
#include "voice/utf8.h"

namespace bobby::bot {
namespace {

// "don't" is one word: apostrophes go before words are told apart.
std::string words_of(std::string_view text) {
  std::string plain;
  for (std::size_t at = 0; at < text.size();) {
    const CodePoint point = decode_utf8(text, at);
    if (point.value != U'\'' && point.value != 0x2019) plain += text.substr(at, point.length);
    at += point.length;
  }
  return folded_words(plain);
}

std::vector<std::string> split(std::string_view words) {
  std::vector<std::string> parts;
  for (std::size_t begin = 0; begin < words.size();) {
    const std::size_t end = std::min(words.find(' ', begin), words.size());
    parts.emplace_back(words.substr(begin, end - begin));
    begin = end + 1;
  }
  return parts;
}

}  // namespace

// Words up to the end of a text, which is lower than any word; then the earlier text.
bool CommonWords::before(std::uint32_t a, std::uint32_t b) const {
  for (std::size_t i = 0;; ++i) {
    const Word x = words_[a + i];
    const Word y = words_[b + i];
    if (x != y) return x < y;
    if (x == 0) return a < b;
  }
}

std::size_t CommonWords::common(std::uint32_t at, std::span<const Word> words) const {
  std::size_t length = 0;
  while (length < words.size() && words[length] != 0 && words_[at + length] == words[length])
    ++length;
  return length;
}

std::uint32_t CommonWords::text_at(std::uint32_t position) const {
  const auto next = std::ranges::upper_bound(begins_, position);
  return static_cast<std::uint32_t>(next - begins_.begin()) - 1;
}

void CommonWords::add(std::string_view text) {
  begins_.push_back(static_cast<std::uint32_t>(words_.size()));
  std::vector<std::uint32_t> run;
  for (const std::string& word : split(words_of(text))) {
    const auto known = vocabulary_.try_emplace(word, static_cast<Word>(vocabulary_.size() + 1));
    run.push_back(static_cast<std::uint32_t>(words_.size()));
    words_.push_back(known.first->second);
  }
  words_.push_back(0);
  if (run.empty()) return;
  const auto less = [this](std::uint32_t a, std::uint32_t b) { return before(a, b); };
  std::ranges::sort(run, less);
  while (!sorted_.empty() && sorted_.back().size() < 2 * run.size()) {
    std::vector<std::uint32_t> merged;
    merged.reserve(sorted_.back().size() + run.size());
    std::ranges::merge(sorted_.back(), run, std::back_inserter(merged), less);
    run = std::move(merged);
    sorted_.pop_back();
  }
  sorted_.push_back(std::move(run));
}

CommonWords::Run CommonWords::longest(std::string_view text,
                                      const std::function<bool(std::uint32_t)>& skip) const {
  const std::vector<std::string> parts = split(words_of(text));
  std::vector<Word> words;
  for (const std::string& part : parts) {
    const auto known = vocabulary_.find(part);
    words.push_back(known == vocabulary_.end() ? 0 : known->second);
  }
  Run best;
  std::size_t best_at = 0;
  const auto consider = [&](std::size_t at, std::uint32_t position) {
    const std::size_t length = common(position, std::span(words).subspan(at));
    const std::uint32_t source = text_at(position);
    const bool better =
        length > best.length || (length == best.length && length > 0 && source < best.text);
    if (better && !(skip && skip(source))) {
      best.length = length;
      best.text = source;
      best_at = at;
    }
    return length;
  };
  for (std::size_t at = 0; at < words.size(); ++at) {
    if (words[at] == 0) continue;
    const std::span<const Word> rest = std::span(words).subspan(at);
    for (const auto& run : sorted_) {
      // The first suffix that is not before the rest; those most alike stand around it.
      const auto middle = std::ranges::partition_point(run, [&](std::uint32_t position) {
        const std::size_t length = common(position, rest);
        return length < rest.size() && words_[position + length] < rest[length];
      });
      for (auto next = middle; next != run.end(); ++next)
        if (consider(at, *next) < std::max<std::size_t>(best.length, 1)) break;
      for (auto next = middle; next != run.begin(); --next)
        if (consider(at, *std::prev(next)) < std::max<std::size_t>(best.length, 1)) break;
    }
  }
  for (std::size_t i = 0; i < best.length; ++i)
    best.words += (i > 0 ? " " : "") + parts[best_at + i];
  return best;
}

}  // namespace bobby::bot
