#include "data/bluesky/post_record.h"

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include "data/bluesky/dag_cbor.h"
#include "data/moments.h"

namespace bobby::data {
namespace {

using nlohmann::json;

char lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

bool starts_with_folded(std::string_view text, std::string_view start) {
  return text.size() >= start.size() &&
         std::equal(start.begin(), start.end(), text.begin(),
                    [](char left, char right) { return lower(left) == lower(right); });
}

std::string_view without_scheme(std::string_view link) {
  for (const std::string_view start : {"https://", "http://"})
    if (starts_with_folded(link, start)) link.remove_prefix(start.size());
  if (starts_with_folded(link, "www.")) link.remove_prefix(4);
  return link;
}

// Whether `shown` is the beginning of `link`, its host at least.
bool shows_link(std::string_view shown, std::string_view link) {
  for (const std::string_view dots : {"...", "\u2026"})
    if (shown.ends_with(dots)) shown.remove_suffix(dots.size());
  shown = without_scheme(shown);
  link = without_scheme(link);
  const std::size_t host = std::min(link.find_first_of("/?#"), link.size());
  return !shown.empty() && shown.size() >= host && starts_with_folded(link, shown);
}

bool is_web_link(std::string_view link) {
  return (starts_with_folded(link, "https://") || starts_with_folded(link, "http://")) &&
         std::none_of(link.begin(), link.end(),
                      [](char c) { return static_cast<unsigned char>(c) <= ' ' || c == '\x7f'; });
}

struct LinkRange {
  std::size_t begin = 0;  // bytes of the text
  std::size_t end = 0;
  std::string_view link;
};

bool is_boundary(std::string_view text, std::size_t at) {
  return at == text.size() || (static_cast<unsigned char>(text[at]) & 0xc0U) != 0x80;
}

std::optional<LinkRange> link_range(const std::string& text, const json& facet) {
  const json* index = find_value(facet, "index");
  const json* features = find_value(facet, "features");
  if (index == nullptr || features == nullptr || !features->is_array()) return std::nullopt;
  const auto begin = find_unsigned(*index, "byteStart");
  const auto end = find_unsigned(*index, "byteEnd");
  if (!begin || !end || *begin >= *end || *end > text.size()) return std::nullopt;
  if (!is_boundary(text, *begin) || !is_boundary(text, *end)) return std::nullopt;
  for (const json& feature : *features) {
    const std::string* type = find_text(feature, "$type");
    const std::string* link = find_text(feature, "uri");
    if (type != nullptr && *type == "app.bsky.richtext.facet#link" && link != nullptr &&
        is_web_link(*link))
      return LinkRange{.begin = *begin, .end = *end, .link = *link};
  }
  return std::nullopt;
}

// The post that a record quotes, by its URI; null when it quotes none.
const std::string* quoted_uri(const json& record) {
  const json* embed = find_value(record, "embed");
  if (embed == nullptr) return nullptr;
  const std::string* type = find_text(*embed, "$type");
  const json* reference = find_value(*embed, "record");
  if (type == nullptr || reference == nullptr) return nullptr;
  if (*type == "app.bsky.embed.recordWithMedia")
    reference = find_value(*reference, "record");
  else if (*type != "app.bsky.embed.record")
    return nullptr;
  const std::string* uri = reference == nullptr ? nullptr : find_text(*reference, "uri");
  const bool is_post =
      uri != nullptr && uri->find("/" + std::string(kPostCollection) + "/") != std::string::npos;
  return is_post ? uri : nullptr;
}

// A thread that goes on with one's own words is no answer to somebody.
bool answers_another(const json& record, const std::string& did) {
  const json* reply = find_value(record, "reply");
  if (reply == nullptr || reply->is_null()) return false;
  const std::string own = "at://" + did + "/";
  for (const char* which : {"root", "parent"}) {
    const json* reference = find_value(*reply, which);
    const std::string* uri = reference == nullptr ? nullptr : find_text(*reference, "uri");
    if (uri == nullptr || !uri->starts_with(own)) return true;
  }
  return false;
}

std::string first_language(const json& record) {
  constexpr std::size_t kLongestTag = 64;
  const json* languages = find_value(record, "langs");
  if (languages == nullptr || !languages->is_array() || languages->empty()) return {};
  const auto* first = (*languages)[0].get_ptr<const std::string*>();
  return first == nullptr || first->size() > kLongestTag ? std::string() : *first;
}

}  // namespace

ExpandedText expand_links(const std::string& text, const json& record) {
  std::vector<LinkRange> ranges;
  const json* facets = find_value(record, "facets");
  if (facets == nullptr || !facets->is_array()) return {text};
  for (const json& facet : *facets)
    if (const auto range = link_range(text, facet)) ranges.push_back(*range);
  std::stable_sort(ranges.begin(), ranges.end(), [](const LinkRange& left, const LinkRange& right) {
    return left.begin < right.begin;
  });
  ExpandedText expanded;
  std::size_t at = 0;
  for (const LinkRange& range : ranges) {
    const std::string_view shown(text.data() + range.begin, range.end - range.begin);
    if (range.begin < at || shown == range.link || !shows_link(shown, range.link)) continue;
    expanded.text.append(text, at, range.begin - at).append(range.link);
    at = range.end;
    ++expanded.links;
  }
  expanded.text.append(text, at);
  return expanded;
}

PostRecords::PostRecords(std::string did, SourceCounts& counts, const PostSink& sink)
    : did_(std::move(did)), counts_(counts), sink_(sink) {}

Result<void> PostRecords::take(std::string_view record_key, const json& record) {
  ++counts_.read;
  const std::string* type = find_text(record, "$type");
  const std::string* text = find_text(record, "text");
  if (type == nullptr || *type != kPostCollection) {
    counts_.leave_out("a record that does not say it is a post");
    return {};
  }
  if (text == nullptr) {
    counts_.leave_out("without text");
    return {};
  }
  if (text->find_first_not_of(" \t\r\n") == std::string::npos) {
    counts_.leave_out("a picture or a link, without words");
    return {};
  }
  ExpandedText expanded = expand_links(*text, record);
  if (expanded.links > 0) counts_.noted["links written out in full"] += expanded.links;
  const std::string* created = find_text(record, "createdAt");
  const auto time = created == nullptr ? std::nullopt : parse_iso_time(*created);
  SourcePost post;
  post.text = std::move(expanded.text);
  post.id = "at://" + did_ + "/" + std::string(kPostCollection) + "/" + std::string(record_key);
  post.time = time.value_or(0);
  post.language = first_language(record);
  post.reply = answers_another(record, did_);
  post.quote = quoted_uri(record) != nullptr;
  return sink_(std::move(post));
}

}  // namespace bobby::data
