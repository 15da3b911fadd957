#include "bluesky/post_record_check.h"

#include <algorithm>
#include <fmt/format.h>
#include <string>
#include <utility>
#include <vector>

#include "bluesky/identity.h"
#include "bluesky/json_answer.h"
#include "bluesky/language_tag.h"
#include "bluesky/post_record.h"
#include "bluesky/record_formats.h"
#include "voice/graphemes.h"
#include "voice/utf8.h"

namespace bobby::bluesky {
namespace {

using nlohmann::json;

const json& member(const json& object, std::string_view key) {
  static const json none;
  if (!object.is_object()) return none;
  const auto found = object.find(key);
  return found == object.end() ? none : *found;
}

// What is wrong with a record, all of it.
class Problems {
 public:
  void limit(const std::string& key, std::string problem, std::string expected, std::string found) {
    errors_.push_back({.code = ErrorCode::kLimit,
                       .where = named(key),
                       .problem = std::move(problem),
                       .expected = std::move(expected),
                       .found = std::move(found)});
  }
  void form(const std::string& key, std::string expected, const json& found) {
    constexpr std::size_t kShown = 100;
    std::string text =
        found.is_null() ? "nothing" : found.dump(-1, ' ', true, json::error_handler_t::replace);
    errors_.push_back({.code = ErrorCode::kUsage,
                       .where = named(key),
                       .problem = "is not what a post may have there",
                       .expected = std::move(expected),
                       .found = text.substr(0, kShown)});
  }
  // Where `value` is no list, or too long a one.
  bool list(const std::string& key, const json& value, std::size_t most, std::string_view what) {
    if (!value.is_array()) {
      form(key, fmt::format("a list of {}", what), value);
      return false;
    }
    if (value.size() > most)
      limit(key, "has too many", fmt::format("at most {} {}", most, what),
            fmt::format("{}", value.size()));
    return true;
  }
  void length(const std::string& key, std::string_view text, std::int64_t most_graphemes,
              std::size_t most_bytes) {
    // Counting graphemes of what is far too long anyway would take long as well.
    if (text.size() > most_bytes) {
      limit(key, "is too long", fmt::format("at most {} bytes", most_bytes),
            fmt::format("{}", text.size()));
    } else if (const auto count = count_graphemes(text); count > most_graphemes) {
      limit(key, "is too long", fmt::format("at most {} graphemes", most_graphemes),
            fmt::format("{}", count));
    }
  }
  Result<void> result() && {
    if (errors_.empty()) return {};
    return fail(join_errors(std::move(errors_)));
  }

 private:
  static std::string named(const std::string& key) { return "record: key '" + key + "'"; }

  std::vector<Error> errors_;
};

void check_tag(const std::string& key, const json& tag, Problems& problems) {
  const auto* text = tag.get_ptr<const std::string*>();
  if (text == nullptr || text->empty())
    problems.form(key, "a tag without its \"#\"", tag);
  else
    problems.length(key, *text, kMostTagGraphemes, kMostTagBytes);
}

void check_feature(const std::string& key, const json& feature, Problems& problems) {
  const std::string* type = text_of(feature, "$type");
  if (type == nullptr) return problems.form(key, "a feature with its $type", feature);
  if (*type == "app.bsky.richtext.facet#link") {
    const std::string* uri = text_of(feature, "uri");
    if (uri == nullptr || !is_uri(*uri))
      problems.form(key + ".uri", "a whole URL", member(feature, "uri"));
  } else if (*type == "app.bsky.richtext.facet#mention") {
    const std::string* did = text_of(feature, "did");
    if (did == nullptr || !is_did(*did))
      problems.form(key + ".did", "a DID", member(feature, "did"));
  } else if (*type == "app.bsky.richtext.facet#tag") {
    check_tag(key + ".tag", member(feature, "tag"), problems);
  } else {
    problems.form(key, "a link, a mention or a tag", feature);
  }
}

bool begins_code_point(const std::string& text, std::size_t at) {
  return at == text.size() || (static_cast<unsigned char>(text[at]) & 0xC0) != 0x80;
}

// Checks one facet, which may not begin before byte `least`; gives where it ends.
std::size_t check_facet(const std::string& key, const json& facet, const std::string& text,
                        std::size_t least, Problems& problems) {
  const json& index = member(facet, "index");
  const json& start = member(index, "byteStart");
  const json& stop = member(index, "byteEnd");
  const bool are_numbers = start.is_number_unsigned() && stop.is_number_unsigned();
  const std::uint64_t begin = are_numbers ? start.get<std::uint64_t>() : 0;
  const std::uint64_t end = are_numbers ? stop.get<std::uint64_t>() : 0;
  if (!are_numbers || begin >= end || end > text.size()) {
    problems.form(key + ".index", fmt::format("bytes of the text's {}", text.size()), index);
  } else if (!begins_code_point(text, begin) || !begins_code_point(text, end)) {
    problems.form(key + ".index", "bytes at which characters begin and end", index);
  } else if (begin < least) {
    problems.form(key + ".index", "facets in order that do not overlap", index);
  }
  const json& features = member(facet, "features");
  if (!features.is_array() || features.empty())
    problems.form(key + ".features", "a list of features", features);
  else
    for (const json& feature : features) check_feature(key + ".features", feature, problems);
  return end;
}

void check_facets(const json& facets, const std::string& text, Problems& problems) {
  if (!problems.list("facets", facets, kMostPostBytes, "facets")) return;
  std::size_t least = 0;
  for (std::size_t i = 0; i < facets.size(); ++i)
    least = check_facet(fmt::format("facets[{}]", i), facets[i], text, least, problems);
}

void check_labels(const json& labels, Problems& problems) {
  const std::string* type = text_of(labels, "$type");
  if (type == nullptr || *type != "com.atproto.label.defs#selfLabels")
    return problems.form("labels.$type", "com.atproto.label.defs#selfLabels",
                         member(labels, "$type"));
  const json& values = member(labels, "values");
  if (!problems.list("labels.values", values, kMostSelfLabels, "labels")) return;
  for (const json& value : values) {
    const std::string* label = text_of(value, "val");
    if (label == nullptr || label->empty())
      problems.form("labels.values", "{\"val\": LABEL}", value);
    else if (label->size() > kMostLabelBytes)
      problems.limit("labels.values", "has too long a label",
                     fmt::format("at most {} bytes", kMostLabelBytes),
                     fmt::format("{}", label->size()));
  }
}

void check_ref(const std::string& key, const json& ref, Problems& problems) {
  const std::string* uri = text_of(ref, "uri");
  const std::string* cid = text_of(ref, "cid");
  if (uri == nullptr || parse_record_uri(*uri).collection != kPostCollection)
    problems.form(key + ".uri", fmt::format("at://DID/{}/KEY", kPostCollection),
                  member(ref, "uri"));
  if (cid == nullptr || !is_cid(*cid)) problems.form(key + ".cid", "a CID", member(ref, "cid"));
}

void check_embed(const json& embed, Problems& problems) {
  const std::string* type = text_of(embed, "$type");
  if (type == nullptr) return problems.form("embed", "an embed with its $type", embed);
  if (*type != "app.bsky.embed.external") return;  // others are not made here
  const json& card = member(embed, "external");
  const std::string* uri = text_of(card, "uri");
  if (uri == nullptr || !is_uri(*uri))
    problems.form("embed.external.uri", "a whole URL", member(card, "uri"));
  for (const char* key : {"title", "description"})
    if (text_of(card, key) == nullptr)
      problems.form(fmt::format("embed.external.{}", key), "a text", member(card, key));
}

void check_texts(const json& record, Problems& problems) {
  const std::string* text = text_of(record, "text");
  if (text == nullptr) {
    problems.form("text", "a text", member(record, "text"));
  } else {
    if (text->empty() && !record.contains("embed"))
      problems.form("text", "some words, or an embed", member(record, "text"));
    problems.length("text", *text, kMostPostGraphemes, kMostPostBytes);
    if (record.contains("facets")) check_facets(record["facets"], *text, problems);
  }
  const json& langs = member(record, "langs");
  if (record.contains("langs") && problems.list("langs", langs, kMostLangs, "languages"))
    for (const json& lang : langs)
      if (!lang.is_string() || !is_language_tag(lang.get_ref<const std::string&>()))
        problems.form("langs", "a language tag as BCP 47 has it", lang);
  const json& tags = member(record, "tags");
  if (record.contains("tags") && problems.list("tags", tags, kMostTags, "tags"))
    for (const json& tag : tags) check_tag("tags", tag, problems);
}

}  // namespace

Result<void> check_post_fields(const json& record) {
  Problems problems;
  const std::string* type = text_of(record, "$type");
  if (type == nullptr || *type != kPostCollection)
    problems.form("$type", std::string(kPostCollection), member(record, "$type"));
  const std::string* time = text_of(record, "createdAt");
  if (time == nullptr || !is_record_time(*time))
    problems.form("createdAt", "a time as RFC 3339 has it", member(record, "createdAt"));
  check_texts(record, problems);
  if (record.contains("labels")) check_labels(record["labels"], problems);
  if (record.contains("embed")) check_embed(record["embed"], problems);
  if (record.contains("reply"))
    for (const char* key : {"root", "parent"})
      check_ref(fmt::format("reply.{}", key), member(record["reply"], key), problems);
  return std::move(problems).result();
}

}  // namespace bobby::bluesky
