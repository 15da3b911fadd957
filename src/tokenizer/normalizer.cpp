#include "tokenizer/normalizer.h"

#include <algorithm>
#include <cstdint>
#include <iterator>
#include <unordered_map>
#include <utf8proc.h>
#include <vector>

#include "tokenizer/char_class.h"
#include "tokenizer/utf8.h"

namespace bobby::detail {
namespace {

/// Below it every code point is a starter that composes with nothing before it.
constexpr char32_t kFirstMark = 0x300;

// Hangul syllables compose by arithmetic (Unicode 3.12).
constexpr char32_t kLBase = 0x1100, kVBase = 0x1161, kTBase = 0x11A7, kSBase = 0xAC00;
constexpr char32_t kLCount = 19, kVCount = 21, kTCount = 28, kSCount = kLCount * kVCount * kTCount;

/// Code points that got a combining class or a composition after Unicode 9, where the tables of the
/// Hugging Face library end: single ones up to Unicode 15 (utf8proc 2.8), later blocks whole.
constexpr CodePointRange kNewerThanOracle[] = {
    {0x07FD, 0x07FD},   {0x0897, 0x089F},   {0x08CA, 0x08D3},   {0x09FE, 0x09FE},
    {0x0C3C, 0x0C3C},   {0x0D3B, 0x0D3C},   {0x0EBA, 0x0EBA},   {0x0ECE, 0x0ECE},
    {0x1715, 0x1715},   {0x1ABF, 0x1AFF},   {0x1DF6, 0x1DFA},   {0xA82C, 0xA82C},
    {0x10D24, 0x10D27}, {0x10D40, 0x10D8F}, {0x10EAB, 0x10EAC}, {0x10EFA, 0x10EFF},
    {0x10F46, 0x10F50}, {0x10F82, 0x10F85}, {0x11070, 0x11070}, {0x1133B, 0x1133B},
    {0x11380, 0x113FF}, {0x1145E, 0x1145E}, {0x11839, 0x1183A}, {0x11930, 0x11930},
    {0x11938, 0x11938}, {0x1193D, 0x1193E}, {0x11943, 0x11943}, {0x119E0, 0x119E0},
    {0x11A34, 0x11A34}, {0x11A47, 0x11A47}, {0x11A99, 0x11A99}, {0x11D42, 0x11D42},
    {0x11D44, 0x11D45}, {0x11D97, 0x11D97}, {0x11F41, 0x11F42}, {0x16100, 0x1613F},
    {0x16D40, 0x16D7F}, {0x16FF0, 0x16FF1}, {0x1E08F, 0x1E08F}, {0x1E130, 0x1E136},
    {0x1E2AE, 0x1E2AE}, {0x1E2EC, 0x1E2EF}, {0x1E4EC, 0x1E4EF}, {0x1E5EE, 0x1E5EF},
    {0x1E6C0, 0x1E6FF}};

bool newer_than_oracle(char32_t c) {
  const auto* range =
      std::lower_bound(std::begin(kNewerThanOracle), std::end(kNewerThanOracle), c,
                       [](const CodePointRange& r, char32_t value) { return r.last < value; });
  return range != std::end(kNewerThanOracle) && range->first <= c;
}

const utf8proc_property_t& property(char32_t c) {
  return *utf8proc_get_property(static_cast<utf8proc_int32_t>(c));
}

struct Mark {
  char32_t value;
  int combining_class;
};

/// Pairs of code points → the code point that they compose to (Hangul apart).
class Compositions {
 public:
  static const Compositions& get() {
    static const Compositions compositions;
    return compositions;
  }

  /// 0 if the two do not compose.
  char32_t compose(char32_t first, char32_t second) const {
    if (first - kLBase < kLCount && second - kVBase < kVCount)
      return kSBase + ((first - kLBase) * kVCount + (second - kVBase)) * kTCount;
    // kTBase itself is no trailing consonant.
    if (first - kSBase < kSCount && (first - kSBase) % kTCount == 0 &&
        second - (kTBase + 1) < kTCount - 1)
      return first + (second - kTBase);
    const auto found = pairs_.find(key(first, second));
    return found == pairs_.end() ? 0 : found->second;
  }

 private:
  Compositions() {
    for (utf8proc_int32_t c = 0xC0; c < 0x30000; ++c) {
      const utf8proc_property_t& p = *utf8proc_get_property(c);
      if (p.decomp_seqindex == UINT16_MAX || p.decomp_type != 0 || p.comp_exclusion) continue;
      if (newer_than_oracle(static_cast<char32_t>(c))) continue;
      add(c);
    }
  }

  /// A full canonical decomposition is (decomposition of the first) + second: composing all but the
  /// last code point again gives the pair. Pairs of shorter decompositions have smaller length, so
  /// the pair's first half is looked up through utf8proc itself.
  void add(utf8proc_int32_t c) {
    utf8proc_int32_t full[8];
    int boundary = 0;
    const auto length = utf8proc_decompose_char(c, full, 8, UTF8PROC_DECOMPOSE, &boundary);
    if (length < 2 || length > 8) return;
    utf8proc_int32_t head[8];
    std::copy(full, full + length - 1, head);
    const auto composed = utf8proc_normalize_utf32(
        head, length - 1, static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_COMPOSE));
    if (composed != 1) return;
    pairs_.emplace(key(static_cast<char32_t>(head[0]), static_cast<char32_t>(full[length - 1])),
                   static_cast<char32_t>(c));
  }

  static std::uint64_t key(char32_t first, char32_t second) {
    return static_cast<std::uint64_t>(first) << 32 | second;
  }
  std::unordered_map<std::uint64_t, char32_t> pairs_;
};

void push(char32_t c, std::vector<Mark>& out) {
  const int combining_class = property(c).combining_class;
  out.push_back({c, combining_class != 0 && newer_than_oracle(c) ? 0 : combining_class});
}

void decompose(std::string_view text, std::vector<Mark>& out) {
  for (std::size_t at = 0; at < text.size();) {
    const CodePoint c = decode_utf8(text.data() + at);
    at += c.length;
    const utf8proc_property_t& p = property(c.value);
    const bool is_hangul = c.value - kSBase < kSCount;
    if (!is_hangul &&
        (p.decomp_seqindex == UINT16_MAX || p.decomp_type != 0 || newer_than_oracle(c.value))) {
      push(c.value, out);
      continue;
    }
    utf8proc_int32_t parts[8];
    int boundary = 0;
    const auto count = utf8proc_decompose_char(static_cast<utf8proc_int32_t>(c.value), parts, 8,
                                               UTF8PROC_DECOMPOSE, &boundary);
    for (int i = 0; i < count && i < 8; ++i) push(static_cast<char32_t>(parts[i]), out);
  }
}

/// Canonical ordering: each run of marks by combining class, equal ones as they stood.
void reorder(std::vector<Mark>& marks) {
  for (auto begin = marks.begin(); begin != marks.end();) {
    if (begin->combining_class == 0) {
      ++begin;
      continue;
    }
    const auto end = std::find_if(begin, marks.end(),
                                  [](const Mark& mark) { return mark.combining_class == 0; });
    std::stable_sort(begin, end, [](const Mark& a, const Mark& b) {
      return a.combining_class < b.combining_class;
    });
    begin = end;
  }
}

void append_composed(std::vector<Mark>& marks, std::string& out) {
  const Compositions& compositions = Compositions::get();
  std::size_t starter = marks.size();  // none yet
  std::size_t kept = 0;
  int last_class = 0;  // of the last mark kept after the starter; 0: none
  for (std::size_t i = 0; i < marks.size(); ++i) {
    const Mark mark = marks[i];
    const bool is_adjacent = starter < kept && starter + 1 == kept;
    const bool is_blocked = !is_adjacent && last_class >= mark.combining_class;
    if (starter < kept && !is_blocked) {
      if (const char32_t composed = compositions.compose(marks[starter].value, mark.value)) {
        marks[starter].value = composed;
        continue;
      }
    }
    if (mark.combining_class == 0) starter = kept;
    last_class = mark.combining_class;
    marks[kept++] = mark;
  }
  for (std::size_t i = 0; i < kept; ++i) append_utf8(marks[i].value, out);
}

}  // namespace

std::string_view normalize_nfc(std::string_view text, std::string& storage) {
  constexpr unsigned char kFirstMarkLead = 0xCC;  // U+0300 is CC 80
  const auto is_high = [](char byte) { return static_cast<unsigned char>(byte) >= kFirstMarkLead; };
  if (std::none_of(text.begin(), text.end(), is_high)) return text;

  storage.clear();
  storage.reserve(text.size());
  std::vector<Mark> marks;
  std::size_t at = 0;
  while (at < text.size()) {
    // Copy up to the code point before the next one that is at least kFirstMark...
    std::size_t begin = at;
    std::size_t end = at;
    char32_t value = 0;
    while (end < text.size()) {
      const CodePoint c = decode_utf8(text.data() + end);
      value = c.value;
      if (value >= kFirstMark) break;
      begin = end;
      end += c.length;
    }
    if (end == text.size()) {
      storage.append(text, at, std::string_view::npos);
      break;
    }
    storage.append(text, at, begin - at);
    // ...then normalize from there to the next code point below kFirstMark.
    while (end < text.size()) {
      const CodePoint c = decode_utf8(text.data() + end);
      if (c.value < kFirstMark) break;
      end += c.length;
    }
    marks.clear();
    decompose(text.substr(begin, end - begin), marks);
    reorder(marks);
    append_composed(marks, storage);
    at = end;
  }
  return storage;
}

}  // namespace bobby::detail
