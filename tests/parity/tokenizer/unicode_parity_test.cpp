// Every code point's classes and normal forms against what Hugging Face `tokenizers` makes of them.

#include <utf8proc.h>

#include "goldens.h"
#include "tokenizer/char_class.h"
#include "tokenizer/normalizer.h"
#include "tokenizer/split_pattern.h"
#include "tokenizer/utf8.h"

namespace bobby::detail {
namespace {

constexpr char32_t kEnd = 0x110000;
bool is_surrogate(char32_t c) {
  return c >= 0xD800 && c <= 0xDFFF;
}

TEST(CharClasses, AreTheSameForEveryCodePoint) {
  const std::pair<const char*, CharClass> kinds[] = {{"letter", kLetter},
                                                     {"number", kNumber},
                                                     {"space", kSpace},
                                                     {"digit", kDigitStep},
                                                     {"word", kWord}};
  const auto golden = read_json("unicode_classes.json");
  const CharClasses& classes = CharClasses::get();
  for (const auto& [name, kind] : kinds) {
    std::vector<bool> expected(kEnd);
    for (const auto& range : golden.at(name))
      for (char32_t c = range.at(0); c <= range.at(1).get<char32_t>(); ++c) expected[c] = true;
    int mismatches = 0;
    for (char32_t c = 0; c < kEnd; ++c) {
      if (is_surrogate(c) || ((classes.of(c) & kind) != 0) == expected[c]) continue;
      if (++mismatches <= 10) ADD_FAILURE() << name << ": U+" << std::hex << unsigned{c};
    }
  }
}

TEST(RegexPattern, HasTheSameClassesForEveryCodePoint) {
  const std::pair<const char*, const char*> kinds[] = {
      {"letter", "\\p{L}"}, {"number", "\\p{N}"}, {"mark", "[\\p{M}]"}, {"space", "\\s"}};
  const auto golden = read_json("unicode_classes.json");
  for (const auto& [name, regex] : kinds) {
    const auto pattern = make_regex_pattern(regex, name);
    ASSERT_TRUE(pattern) << pattern.error().to_string();
    std::vector<bool> expected(kEnd);
    for (const auto& range : golden.at(name))
      for (char32_t c = range.at(0); c <= range.at(1).get<char32_t>(); ++c) expected[c] = true;
    int mismatches = 0;
    for (char32_t c = 0; c < kEnd; ++c) {
      if (is_surrogate(c)) continue;
      std::string text;
      append_utf8(c, text);
      const bool matches = (*pattern)->find(text, 0).begin == 0;
      if (matches != expected[c] && ++mismatches <= 10)
        ADD_FAILURE() << regex << ": U+" << std::hex << unsigned{c};
    }
  }
}

std::string nfc(const std::string& text) {
  std::string storage;
  return std::string(normalize_nfc(text, storage));
}

template <typename Text>
std::string digest_of_all(Text text) {
  Sha256 sum;
  for (char32_t c = 0; c < kEnd; ++c) {
    if (is_surrogate(c)) continue;
    std::string point;
    append_utf8(c, point);
    const std::string line = nfc(text(point)) + "\n";
    sum.update(std::as_bytes(std::span(line)));
  }
  return sum.hex_digest();
}

TEST(Nfc, IsTheSameForEveryCodePoint) {
  const auto golden = read_json("nfc.json");
  EXPECT_EQ(digest_of_all([](const std::string& c) { return c; }), golden.at("alone"));
  EXPECT_EQ(digest_of_all([](const std::string& c) { return "a\u0345" + c; }),
            golden.at("after_mark"));
  EXPECT_EQ(digest_of_all([](const std::string& c) { return "a" + c + "\u0334"; }),
            golden.at("before_mark"));
  EXPECT_EQ(digest_of_all([](const std::string& c) { return "e" + c; }), golden.at("after_letter"));
  EXPECT_EQ(
      digest_of_all([](const std::string& c) {
        const std::size_t size = c.size();
        utf8proc_uint8_t* nfd = nullptr;
        const auto length =
            utf8proc_map(reinterpret_cast<const utf8proc_uint8_t*>(c.data()),
                         static_cast<utf8proc_ssize_t>(size), &nfd,
                         static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_DECOMPOSE));
        const std::string text(reinterpret_cast<char*>(nfd), static_cast<std::size_t>(length));
        std::free(nfd);
        return text;
      }),
      golden.at("decomposed"));
}

}  // namespace
}  // namespace bobby::detail
