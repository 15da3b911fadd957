// Matchers written by hand for the split patterns of the common model families: several times as
// fast as a regex engine, and checked against one in tests/unit/tokenizer/split_pattern_test.cpp.

#include <algorithm>

#include "tokenizer/char_class.h"
#include "tokenizer/split_pattern.h"
#include "tokenizer/utf8.h"

namespace bobby::detail {

namespace known_patterns {
const std::string_view kGpt2 =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";
const std::string_view kQwen2 =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*)"
    R"(|\s*[\r\n]+|\s+(?!\S)|\s+)";
const std::string_view kLlama3 =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*)"
    R"(|\s*[\r\n]+|\s+(?!\S)|\s+)";
}  // namespace known_patterns

namespace {

constexpr std::uint8_t kNoSymbol = kLetter | kNumber | kSpace;  // "[^\s\p{L}\p{N}]" is none of them

/// Text with the classes of its code points.
class Scanner {
 public:
  explicit Scanner(std::string_view text) : text_(text), classes_(CharClasses::get()) {}

  struct Char {
    std::uint8_t classes;
    std::size_t length;  ///< 0 at the end of the text
  };
  Char at(std::size_t position) const {
    if (position >= text_.size()) return {0, 0};
    const CodePoint c = decode_utf8(text_.data() + position);
    return {classes_.of(c.value), c.length};
  }
  char byte(std::size_t position) const { return position < text_.size() ? text_[position] : '\0'; }
  /// End of the run of code points from `position` of which (classes & mask) == wanted holds as
  /// `any`: true for a run with any class of the mask, false for a run with none.
  std::size_t run_end(std::size_t position, std::uint8_t mask, bool any) const {
    for (;;) {
      const Char c = at(position);
      if (c.length == 0 || ((c.classes & mask) != 0) != any) return position;
      position += c.length;
    }
  }

 private:
  std::string_view text_;
  const CharClasses& classes_;
};

/// "'s|'t|'re|'ve|'m|'ll|'d" at `p`: its end, or `p`.
std::size_t match_contraction(const Scanner& text, std::size_t p, bool any_case) {
  if (text.byte(p) != '\'') return p;
  const auto letter = [&](std::size_t i) {
    const char c = text.byte(i);
    return any_case && c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  };
  const char first = letter(p + 1);
  if (first == 's' || first == 't' || first == 'm' || first == 'd') return p + 2;
  const char second = letter(p + 2);
  if (second == 'e' && (first == 'r' || first == 'v')) return p + 3;
  if (second == 'l' && first == 'l') return p + 3;
  // U+017F, long s, is an s in any case.
  if (any_case && first == '\xC5' && text.byte(p + 2) == '\xBF') return p + 3;
  return p;
}

/// "\s+(?!\S)|\s+" for the whitespace [p, end): gives its last character to what follows.
std::size_t match_trailing_space(const Scanner& text, std::size_t p, std::size_t end) {
  if (text.at(end).length == 0) return end;
  std::size_t last = p;
  for (std::size_t next = p; next < end; next += text.at(next).length) last = next;
  return last > p ? last : end;
}

class Gpt2Pattern final : public SplitPattern {
 public:
  Match find(std::string_view whole, std::size_t p) const override {
    const Scanner text(whole);
    if (p >= whole.size()) return {std::string_view::npos, std::string_view::npos};
    if (const std::size_t end = match_contraction(text, p, false); end > p) return {p, end};
    const std::size_t body = whole[p] == ' ' ? p + 1 : p;
    const Scanner::Char first = text.at(body);
    if (first.length > 0) {
      const std::size_t rest = body + first.length;
      if (first.classes & kLetter) return {p, text.run_end(rest, kLetter, true)};
      if (first.classes & kNumber) return {p, text.run_end(rest, kNumber, true)};
      if (!(first.classes & kSpace)) return {p, text.run_end(rest, kNoSymbol, false)};
    }
    return {p, match_trailing_space(text, p, text.run_end(p, kSpace, true))};
  }
};

/// Qwen2 and Llama 3 differ in how many numbers make a piece.
class Cl100kPattern final : public SplitPattern {
 public:
  explicit Cl100kPattern(int max_numbers) : max_numbers_(max_numbers) {}

  Match find(std::string_view whole, std::size_t p) const override {
    if (p >= whole.size()) return {std::string_view::npos, std::string_view::npos};
    return {p, match_end(Scanner(whole), p)};
  }

 private:
  std::size_t match_end(const Scanner& text, std::size_t p) const {
    if (const std::size_t end = match_contraction(text, p, true); end > p) return end;

    const Scanner::Char first = text.at(p);
    const std::size_t next = p + first.length;
    if (first.classes & kLetter) return text.run_end(next, kLetter, true);
    if (first.classes & kNumber) {
      std::size_t end = next;
      for (int count = 1; count < max_numbers_; ++count) {
        const Scanner::Char c = text.at(end);
        if (!(c.classes & kNumber)) break;
        end += c.length;
      }
      return end;
    }
    const Scanner::Char second = text.at(next);
    if (!(first.classes & kNewline) && (second.classes & kLetter))
      return text.run_end(next + second.length, kLetter, true);

    const bool is_symbol = !(first.classes & kNoSymbol);
    const bool is_spaced_symbol =
        text.byte(p) == ' ' && second.length > 0 && !(second.classes & kNoSymbol);
    if (is_symbol || is_spaced_symbol)
      return text.run_end(text.run_end(next, kNoSymbol, false), kNewline, true);
    return match_space(text, p);
  }

  /// "\s*[\r\n]+|\s+(?!\S)|\s+": through the last line end, if there is one.
  static std::size_t match_space(const Scanner& text, std::size_t p) {
    std::size_t end = p;
    std::size_t after_newline = p;
    for (Scanner::Char c = text.at(p); c.classes & kSpace; c = text.at(end)) {
      end += c.length;
      if (c.classes & kNewline) after_newline = end;
    }
    return after_newline > p ? after_newline : match_trailing_space(text, p, end);
  }

  int max_numbers_;
};

}  // namespace

std::unique_ptr<SplitPattern> make_known_pattern(std::string_view regex) {
  if (regex == known_patterns::kGpt2) return std::make_unique<Gpt2Pattern>();
  if (regex == known_patterns::kQwen2) return std::make_unique<Cl100kPattern>(1);
  if (regex == known_patterns::kLlama3) return std::make_unique<Cl100kPattern>(3);
  return nullptr;
}

}  // namespace bobby::detail
