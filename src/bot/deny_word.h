#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "bot/folded_units.h"

namespace bobby::bot {

/// Where a rule applies: bytes [begin, end) of a text.
struct Place {
  std::size_t begin = 0;
  std::size_t end = 0;
  bool operator==(const Place&) const = default;
};

/// A word, or words with spaces between, that a text must not have; "word*" also at the beginning
/// of longer ones, "*word*" anywhere in them. Seen through: case, accents, look-alikes, leet,
/// letters repeated or starred out, and letters set apart:
/// - by punctuation, anywhere in the word ("w.o-rd");
/// - by spaces, where single letters are left ("w o r d", "w ord"; not "a" or another vowel before
///   one rest, which are words), for words of three letters or more;
/// - by apostrophes, where single letters alone are left: "he'll" is no "hell".
class DenyWord {
 public:
  /// kUsage: what is wrong with it.
  static Result<DenyWord> parse(std::string_view text);

  /// The first place in a text of these units. `any_spacing`: set apart by spaces in any way
  /// ("wo rd"), which finds words in innocent texts, too ("who re-reads").
  std::optional<Place> find(std::span<const Unit> units, bool any_spacing) const;

 private:
  struct Letter {
    char32_t character = 0;
    std::uint32_t letters = 0;  // as in Unit, without leet
    bool word_begin = false;    // behind a space of the rule
    bool digit = false;
  };
  class Search;

  std::vector<Letter> letters_;
  bool open_begin_ = false;
  bool open_end_ = false;
};

}  // namespace bobby::bot
