#include "bluesky/facets.h"

#include <algorithm>
#include <array>
#include <map>
#include <utf8proc.h>
#include <utility>

#include "bluesky/identity.h"
#include "bluesky/post_record.h"
#include "voice/graphemes.h"
#include "voice/utf8.h"

namespace bobby::bluesky {
namespace {

constexpr char32_t kWideNumberSign = 0xFF03;
constexpr char32_t kEmojiVariant = 0xFE0F;
constexpr char32_t kKeycap = 0x20E3;

bool is_of_category(char32_t point, std::string_view major) {
  return major.find(utf8proc_category_string(static_cast<utf8proc_int32_t>(point))[0]) !=
         std::string_view::npos;
}
bool is_space(char32_t point) {
  return (point >= '\t' && point <= '\r') || is_of_category(point, "Z");
}
bool is_punctuation(char32_t point) {
  return is_of_category(point, "P");
}
bool is_word(char32_t point) {
  return is_of_category(point, "LN");
}
// Seen by no reader: what they end is no part of a tag.
bool is_invisible(char32_t point) {
  return point == 0xAD || point == 0x2060 || (point >= 0x200A && point <= 0x200D) ||
         point == 0x20E2;
}
bool is_digit(char c) {
  return c >= '0' && c <= '9';
}
bool is_letter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

bool is_scheme(std::string_view text, std::string_view lower_case) {
  return text.size() >= lower_case.size() &&
         std::ranges::equal(text.substr(0, lower_case.size()), lower_case, [](char a, char b) {
           return (a >= 'A' && a <= 'Z' ? static_cast<char>(a + 32) : a) == b;
         });
}

// How long "https://" or "http://" is where `text` begins with it.
std::size_t scheme_length(std::string_view text) {
  for (const std::string_view scheme : {std::string_view("https://"), std::string_view("http://")})
    if (is_scheme(text, scheme)) return scheme.size();
  return 0;
}

// A web address is written in ASCII; people write letters of all scripts in it as well.
bool is_of_address(char32_t point) {
  if (point >= 0x80) return is_of_category(point, "LNM");
  const char c = static_cast<char>(point);
  return is_digit(c) || is_letter(c) ||
         std::string_view("-._~:/?#[]@!$&'()*+,;=%").find(c) != std::string_view::npos;
}

// Where an address of bytes [0, end) ends, the punctuation of the sentence around it left out, and
// brackets that it closes without having opened them.
std::size_t without_punctuation(std::string_view text, std::size_t end) {
  const auto closes_more = [&](char open, char close) {
    const std::string_view address = text.substr(0, end);
    return std::ranges::count(address, close) > std::ranges::count(address, open);
  };
  for (; end > 0; --end) {
    const char last = text[end - 1];
    if (std::string_view(".,;:!?'*").find(last) != std::string_view::npos) continue;
    if ((last == ')' && closes_more('(', ')')) || (last == ']' && closes_more('[', ']'))) continue;
    break;
  }
  return end;
}

// Of an address without its scheme. Before "@" may stand what looks like another host.
std::string_view host_of(std::string_view address) {
  const std::string_view authority = address.substr(0, address.find_first_of("/?#"));
  const std::size_t at = authority.rfind('@');
  return at == std::string_view::npos ? authority : authority.substr(at + 1);
}

// The length of the link that `text` begins with; 0: it begins with none.
std::size_t link_length(std::string_view text) {
  const std::size_t scheme = scheme_length(text);
  if (scheme == 0) return 0;
  std::size_t end = scheme;
  while (end < text.size()) {
    const CodePoint point = decode_utf8(text, end);
    if (!is_of_address(point.value)) break;
    end += point.length;
  }
  end = without_punctuation(text, end);
  if (end <= scheme) return 0;
  const std::string_view host = host_of(text.substr(scheme, end - scheme));
  if (host.empty()) return 0;
  const CodePoint first = decode_utf8(host, 0);
  return is_word(first.value) || first.value == '[' ? end : 0;
}

// The length of the "@alice.example" that `text` begins with; 0: it begins with none.
std::size_t mention_length(std::string_view text) {
  std::size_t end = 1;
  while (end < text.size() &&
         (is_digit(text[end]) || is_letter(text[end]) || text[end] == '.' || text[end] == '-'))
    ++end;
  // "@alice@elsewhere.example" is of another network.
  if (end < text.size() && (text[end] == '@' || is_word(decode_utf8(text, end).value))) return 0;
  while (end > 1 && (text[end - 1] == '.' || text[end - 1] == '-')) --end;
  return is_handle(text.substr(1, end - 1)) ? end : 0;
}

// The length of the tag that `text` begins with, `sign` bytes of "#" among it; 0: none.
std::size_t tag_length(std::string_view text, std::size_t sign) {
  std::size_t end = sign;
  std::size_t kept = sign;  // up to the last that is no punctuation
  bool is_said = false;     // something other than digits and punctuation
  while (end < text.size()) {
    const CodePoint point = decode_utf8(text, end);
    if (is_space(point.value) || is_invisible(point.value)) break;
    if (end == sign && (point.value == kEmojiVariant || point.value == kKeycap)) return 0;
    end += point.length;
    if (is_punctuation(point.value)) continue;
    kept = end;
    is_said = is_said || !is_of_category(point.value, "N");
  }
  const std::string_view tag = text.substr(sign, kept - sign);
  if (!is_said || tag.size() > kMostTagBytes || count_graphemes(tag) > kMostTagGraphemes) return 0;
  return kept;
}

// What stands at byte `at` of a text: its kind, its length, and of "#" the sign's.
struct Found {
  FacetKind kind = FacetKind::kLink;
  std::size_t length = 0;
  std::size_t sign = 1;
};

Found find_at(std::string_view text, std::size_t at) {
  const char32_t before = at == 0 ? U' ' : decode_utf8_before(text, at).value;
  const CodePoint point = decode_utf8(text, at);
  const std::string_view rest = text.substr(at);
  if (point.value == '@') {
    if (is_word(before) || std::u32string_view(U"@._-/").find(before) != std::u32string_view::npos)
      return {};
    return {FacetKind::kMention, mention_length(rest)};
  }
  if (point.value == '#' || point.value == kWideNumberSign) {
    if (!is_space(before)) return {};
    return {FacetKind::kTag, tag_length(rest, point.length), point.length};
  }
  if ((point.value == 'h' || point.value == 'H') && !is_word(before))
    return {FacetKind::kLink, link_length(rest)};
  return {};
}

// A link as it is shown: without its scheme and, where it is long, with the beginning of what
// follows the host alone.
std::string shown_link(std::string_view link) {
  constexpr std::size_t kLongestPath = 15;
  constexpr std::size_t kShownOfPath = 13;
  link.remove_prefix(scheme_length(link));
  std::string host(host_of(link));
  const std::string_view path = link.substr(std::min(link.find_first_of("/?#"), link.size()));
  if (path == "/") return host;
  const auto parts = split_graphemes(path);
  if (parts.size() <= kLongestPath) return host + std::string(path);
  const char* const cut = parts[kShownOfPath].data();
  return host + std::string(path.data(), cut) + "...";
}

// A link as a browser would send it: letters of other scripts after the host in percent codes.
std::string whole_link(std::string_view link) {
  const std::size_t host_end =
      std::min(link.find_first_of("/?#", scheme_length(link)), link.size());
  std::string url(link.substr(0, host_end));
  for (const char c : link.substr(host_end)) {
    constexpr std::string_view kHex = "0123456789ABCDEF";
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x80) {
      url += c;
    } else {
      url += '%';
      url += kHex[byte >> 4];
      url += kHex[byte & 15];
    }
  }
  return url;
}

std::string lower(std::string_view text) {
  std::string folded(text);
  for (char& c : folded)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + 32);
  return folded;
}

// Calls take(begin, found) for each thing that stands in a text.
template <typename Take>
Result<void> for_each_found(std::string_view text, Take take) {
  for (std::size_t at = 0; at < text.size();) {
    const Found found = find_at(text, at);
    if (found.length == 0) {
      at += decode_utf8(text, at).length;
      continue;
    }
    BOBBY_CHECK(take(at, found));
    at += found.length;
  }
  return {};
}

class Mentions {
 public:
  explicit Mentions(const DidOfHandle& did_of_handle) : did_of_handle_(did_of_handle) {}

  Result<std::optional<std::string>> did(std::string_view handle) {
    if (!did_of_handle_) return std::nullopt;
    const std::string name = lower(handle);
    if (const auto known = known_.find(name); known != known_.end()) return known->second;
    BOBBY_TRY(auto did, did_of_handle_(name));
    return known_[name] = std::move(did);
  }

 private:
  const DidOfHandle& did_of_handle_;
  std::map<std::string, std::optional<std::string>> known_;
};

}  // namespace

Result<RichText> make_rich_text(std::string_view text, const RichTextOptions& options) {
  RichText rich;
  Mentions mentions(options.did_of_handle);
  std::size_t copied = 0;
  BOBBY_CHECK(for_each_found(text, [&](std::size_t begin, const Found& found) -> Result<void> {
    const std::string_view part = text.substr(begin, found.length);
    std::string shown(part);
    std::string value(part.substr(found.sign));
    if (found.kind == FacetKind::kMention) {
      BOBBY_TRY(const auto did, mentions.did(value));
      if (!did) return {};
      value = *did;
    } else if (found.kind == FacetKind::kLink) {
      value = whole_link(part);
      if (options.shorten_links) shown = shown_link(part);
    }
    rich.text += text.substr(copied, begin - copied);
    copied = begin + found.length;
    const std::size_t at = rich.text.size();
    rich.text += shown;
    rich.facets.push_back({at, rich.text.size(), found.kind, std::move(value)});
    return {};
  }));
  rich.text += text.substr(copied);
  return rich;
}

std::vector<std::string> mentioned_handles(std::string_view text) {
  std::vector<std::string> handles;
  static_cast<void>(
      for_each_found(text, [&](std::size_t begin, const Found& found) -> Result<void> {
        if (found.kind != FacetKind::kMention) return {};
        std::string handle = lower(text.substr(begin + 1, found.length - 1));
        if (std::ranges::find(handles, handle) == handles.end())
          handles.push_back(std::move(handle));
        return {};
      }));
  return handles;
}

}  // namespace bobby::bluesky
