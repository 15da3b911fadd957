#include "bot/deny_word.h"

#include <algorithm>
#include <fmt/format.h>

#include "bot/confusables.h"

namespace bobby::bot {
namespace {

constexpr std::size_t kMostBytes = 256;
constexpr std::size_t kMostLetters = 64;
constexpr std::uint8_t kMostGap = 8;      // signs between two letters
constexpr std::size_t kMostStates = 256;  // ways to read a text up to one place

bool is_wildcard(char32_t c) {
  switch (c) {
    case U'*':
    case U'#':
    case U'%':
    case U'@':
    case 0x2022:  // bullet
    case 0x2217:  // asterisk operator
    case 0x25CF:  // black circle
    case 0x25A0:  // black square
    case 0x2588:  // full block
    case 0x2731:  // heavy asterisk
      return true;
    default: return false;
  }
}

bool is_vowel(char32_t c) {
  return std::u32string_view(U"aeiouy").find(c) != std::u32string_view::npos;
}

bool is_sign(const Unit& unit) {
  return unit.kind != UnitKind::kLetter && unit.kind != UnitKind::kDigit;
}

// Whether `before` and `after`, neighbours in a text, are of one word. "camelCase" is two.
bool in_one_word(const Unit& before, const Unit& after) {
  if (before.kind == UnitKind::kDigit && after.kind == UnitKind::kDigit) return true;
  if (before.kind == UnitKind::kLetter && after.kind == UnitKind::kLetter)
    return !(before.lower && after.upper);
  return false;
}

// How far a rule was read, and how the word it is in was set apart so far.
struct State {
  std::uint8_t read = 0;        // letters of the rule
  std::uint8_t word_first = 0;  // the first of the rule's letters in this word
  std::uint8_t gap = 0;         // signs since the last letter
  std::uint8_t piece = 0;       // letters since the last gap
  std::uint8_t pieces = 0;      // closed by gaps
  std::uint8_t long_pieces = 0;
  std::uint8_t hidden = 0;  // behind wildcards
  std::uint8_t plain = 0;   // letters that need no leet
  bool space = false;
  bool apostrophe = false;
  bool vowel_alone = false;
  bool after_name = false;  // began behind a word's apostrophe: "that's ..."
  std::uint32_t begin = 0;  // the unit where the reading began
  auto operator<=>(const State&) const = default;
};

bool same_reading(State a, const State& b) {
  a.begin = b.begin;
  return a == b;
}

// The furthest first, and of those that differ in their begin alone the earliest.
bool goes_before(State a, const State& b) {
  if (same_reading(a, b)) return a.begin < b.begin;
  a.begin = b.begin;
  return a > b;
}

}  // namespace

Result<DenyWord> DenyWord::parse(std::string_view text) {
  const auto wrong = [&](std::string problem) {
    return fail({.code = ErrorCode::kUsage,
                 .problem = std::move(problem),
                 .found = fmt::format("\"{}\"", text.substr(0, kMostBytes))});
  };
  if (text.size() > kMostBytes) return wrong("is too long for a word");
  DenyWord word;
  std::string_view inner = text;
  if (inner.starts_with('*')) {
    word.open_begin_ = true;
    inner.remove_prefix(1);
  }
  if (inner.ends_with('*')) {
    word.open_end_ = true;
    inner.remove_suffix(1);
  }
  bool apart = false;
  for (const Unit& unit : fold_units(inner)) {
    if (unit.character == U'*') return wrong("has a * within; it can stand at its ends");
    if (unit.kind == UnitKind::kApostrophe) continue;
    if (is_sign(unit)) {
      apart = true;
      continue;
    }
    Letter letter{.character = unit.character,
                  .word_begin = apart && !word.letters_.empty(),
                  .digit = unit.kind == UnitKind::kDigit};
    // Leet is for texts; a rule's digit is a digit.
    if (!letter.digit) letter.letters = unit.letters;
    apart = false;
    word.letters_.push_back(letter);
  }
  if (word.letters_.empty()) return wrong("has no letter or digit");
  if (word.letters_.size() > kMostLetters) return wrong("is too long for a word");
  return word;
}

// Reads a text once, from all places and in all ways at the same time; of readings that differ only
// in where they began, the earliest is kept.
class DenyWord::Search {
 public:
  Search(const DenyWord& word, std::span<const Unit> units, bool any_spacing)
      : word_(word), units_(units), any_spacing_(any_spacing) {}

  std::optional<Place> first() {
    for (std::size_t at = 0; at < units_.size(); ++at) {
      next_.clear();
      for (const State& state : states_) step(state, at);
      if (begins(at)) advance(started(at), at, is_plain(units_[at], word_.letters_[0]));
      if (found_) return Place{units_[*found_].begin, units_[at].end};
      std::ranges::sort(next_, goes_before);
      next_.erase(std::unique(next_.begin(), next_.end(), same_reading), next_.end());
      if (next_.size() > kMostStates) next_.resize(kMostStates);
      std::swap(states_, next_);
    }
    return std::nullopt;
  }

 private:
  std::size_t size() const { return word_.letters_.size(); }

  bool stands_for(const Unit& unit, const Letter& letter) const {
    return unit.character == letter.character || (unit.letters & letter.letters) != 0;
  }

  static bool is_plain(const Unit& unit, const Letter& letter) {
    return unit.plain || unit.character == letter.character;
  }

  bool begins(std::size_t at) const {
    if (!stands_for(units_[at], word_.letters_[0])) return false;
    return word_.open_begin_ || at == 0 || !in_one_word(units_[at - 1], units_[at]);
  }

  State started(std::size_t at) const {
    return {.after_name = at > 1 && units_[at - 1].kind == UnitKind::kApostrophe &&
                          units_[at - 2].kind == UnitKind::kLetter,
            .begin = static_cast<std::uint32_t>(at)};
  }

  bool ends(std::size_t last) const {
    if (word_.open_end_ || last + 1 == units_.size()) return true;
    const Unit& next = units_[last + 1];
    // A sign that was read as a letter is of the word that goes on behind it.
    if (is_sign(units_[last])) return next.kind != UnitKind::kLetter;
    return !in_one_word(units_[last], next);
  }

  std::size_t word_end(const State& state) const {
    std::size_t end = state.word_first + std::size_t{1};
    while (end < size() && !word_.letters_[end].word_begin) ++end;
    return end;
  }

  void step(const State& state, std::size_t at) {
    const Unit& unit = units_[at];
    if (state.read < size()) {
      const Letter& letter = word_.letters_[state.read];
      if (stands_for(unit, letter)) advance(state, at, is_plain(unit, letter));
      if (can_hide(state, unit)) {
        State hidden = state;
        ++hidden.hidden;
        advance(hidden, at, false);
      }
      if (state.read > 0 && is_sign(unit)) skip(state, unit);
    }
    if (state.read > 0 && can_repeat(state, unit)) {
      State repeated = state;
      repeated.piece = std::max<std::uint8_t>(repeated.piece, 1);
      repeated.gap = 0;
      reached(repeated, at);
    }
  }

  bool can_hide(const State& state, const Unit& unit) const {
    const bool last = state.read + std::size_t{1} == size();
    return state.read > 0 && state.gap == 0 && is_wildcard(unit.character) && size() >= 3 &&
           (!last || size() >= 4) && (state.hidden + std::size_t{1}) * 2 <= size();
  }

  // Words of three letters have others beside them with one letter doubled: "god", "good".
  bool can_repeat(const State& state, const Unit& unit) const {
    const Letter& letter = word_.letters_[state.read - std::size_t{1}];
    return !letter.digit && stands_for(unit, letter) &&
           (size() >= 4 || (size() == 3 && unit.run >= 3));
  }

  void advance(const State& state, std::size_t at, bool plain) {
    State next = state;
    if (word_.letters_[state.read].word_begin) {
      if (!is_well_split(state)) return;
      next = {.read = state.read,
              .word_first = state.read,
              .hidden = state.hidden,
              .plain = state.plain,
              .begin = state.begin};
    }
    ++next.read;
    next.gap = 0;
    next.piece = static_cast<std::uint8_t>(std::min(next.piece + 1, 2));
    if (plain) ++next.plain;
    reached(next, at);
  }

  void skip(const State& state, const Unit& unit) {
    if (state.gap >= kMostGap) return;
    State next = state;
    ++next.gap;
    if (!word_.letters_[state.read].word_begin) {
      if (state.gap == 0) close_piece(next);
      next.space = next.space || unit.kind == UnitKind::kSpace;
      next.apostrophe = next.apostrophe || unit.kind == UnitKind::kApostrophe;
    }
    next_.push_back(next);
  }

  void close_piece(State& state) const {
    state.pieces = static_cast<std::uint8_t>(std::min(state.pieces + 1, 3));
    if (state.piece > 1)
      state.long_pieces = static_cast<std::uint8_t>(std::min(state.long_pieces + 1, 2));
    else if (is_vowel(word_.letters_[state.read - std::size_t{1}].character))
      state.vowel_alone = true;
    state.piece = 0;
  }

  // Whether the word that `state` is at the end of may be set apart as it is.
  bool is_well_split(State state) const {
    if (state.pieces == 0) return true;
    if (state.piece > 0) close_piece(state);
    if (any_spacing_) return true;
    const std::size_t letters = word_end(state) - state.word_first;
    if (letters < 3) return false;
    if (state.apostrophe) return state.long_pieces == 0;
    if (!state.space) return true;
    if (state.after_name) return false;  // "that's hit"
    if (state.long_pieces == 0) return true;
    return state.long_pieces == 1 && letters >= 4 && !(state.pieces == 2 && state.vowel_alone);
  }

  void reached(const State& state, std::size_t at) {
    const bool whole = state.read == size() && ends(at) && is_well_split(state) &&
                       state.plain >= std::max<std::size_t>(1, size() / 3);
    if (whole) found_ = std::min<std::size_t>(found_.value_or(state.begin), state.begin);
    next_.push_back(state);
  }

  const DenyWord& word_;
  std::span<const Unit> units_;
  bool any_spacing_;
  std::optional<std::size_t> found_;  // where what was found begins
  std::vector<State> states_;
  std::vector<State> next_;
};

std::optional<Place> DenyWord::find(std::span<const Unit> units, bool any_spacing) const {
  return Search(*this, units, any_spacing).first();
}

}  // namespace bobby::bot
