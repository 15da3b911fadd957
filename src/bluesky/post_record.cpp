#include "bluesky/post_record.h"

#include <algorithm>
#include <fmt/chrono.h>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "bluesky/json_answer.h"
#include "bluesky/post_record_check.h"
#include "voice/graphemes.h"
#include "voice/utf8.h"

namespace bobby::bluesky {
namespace {

using nlohmann::json;

json feature_json(const Facet& facet) {
  switch (facet.kind) {
    case FacetKind::kLink: return {{"$type", "app.bsky.richtext.facet#link"}, {"uri", facet.value}};
    case FacetKind::kMention:
      return {{"$type", "app.bsky.richtext.facet#mention"}, {"did", facet.value}};
    case FacetKind::kTag: return {{"$type", "app.bsky.richtext.facet#tag"}, {"tag", facet.value}};
  }
  return {};
}

json facets_json(const std::vector<Facet>& facets) {
  json list = json::array();
  for (const Facet& facet : facets)
    list.push_back({{"index", {{"byteStart", facet.begin}, {"byteEnd", facet.end}}},
                    {"features", json::array({feature_json(facet)})}});
  return list;
}

json ref_json(const RecordRef& ref) {
  return {{"uri", ref.uri}, {"cid", ref.cid}};
}

json labels_json(const std::vector<std::string>& labels) {
  json values = json::array();
  for (const std::string& label : labels) values.push_back({{"val", label}});
  return {{"$type", "com.atproto.label.defs#selfLabels"}, {"values", std::move(values)}};
}

json card_json(const Card& card) {
  return {
      {"$type", "app.bsky.embed.external"},
      {"external", {{"uri", card.uri}, {"title", card.title}, {"description", card.description}}}};
}

Result<json> parse_record(std::string_view record) {
  // A server takes no larger one.
  constexpr std::size_t kMostRecordBytes = 1'000'000;
  if (record.size() > kMostRecordBytes)
    return fail({.code = ErrorCode::kLimit,
                 .where = "record",
                 .problem = "is too long",
                 .expected = fmt::format("at most {} bytes", kMostRecordBytes),
                 .found = fmt::format("{}", record.size())});
  json parsed = json::parse(record, nullptr, false);
  if (!parsed.is_object())
    return fail({.code = ErrorCode::kMalformed, .where = "record", .problem = "is no JSON object"});
  return parsed;
}

}  // namespace

std::string record_time(std::chrono::system_clock::time_point time) {
  const auto whole = std::chrono::floor<std::chrono::milliseconds>(time);
  const auto seconds = std::chrono::floor<std::chrono::seconds>(whole);
  return fmt::format("{:%Y-%m-%dT%H:%M:%S}.{:03}Z",
                     fmt::gmtime(std::chrono::system_clock::to_time_t(seconds)),
                     (whole - seconds).count());
}

Result<std::string> make_post_record(const PostFields& fields) {
  json record = {{"$type", kPostCollection},
                 {"text", fields.content.text},
                 {"createdAt", record_time(fields.created_at)}};
  if (!fields.content.facets.empty()) record["facets"] = facets_json(fields.content.facets);
  if (!fields.langs.empty()) record["langs"] = fields.langs;
  if (!fields.tags.empty()) record["tags"] = fields.tags;
  if (!fields.labels.empty()) record["labels"] = labels_json(fields.labels);
  if (fields.card) record["embed"] = card_json(*fields.card);
  if (fields.reply)
    record["reply"] = {{"root", ref_json(fields.reply->root)},
                       {"parent", ref_json(fields.reply->parent)}};
  // Bytes that are no UTF-8 would be written as U+FFFD: then it is not what was asked for.
  std::string text = record.dump(-1, ' ', false, json::error_handler_t::replace);
  if (json::parse(text, nullptr, false) != record)
    return fail({.code = ErrorCode::kMalformed,
                 .where = "record",
                 .problem = "has a text that is no valid UTF-8"});
  BOBBY_CHECK(check_post_fields(record));
  return text;
}

Result<void> check_post_record(std::string_view record) {
  BOBBY_TRY(const json parsed, parse_record(record));
  return check_post_fields(parsed);
}

Result<PostText> post_text(std::string_view record) {
  BOBBY_TRY(const json parsed, parse_record(record));
  const std::string* text = text_of(parsed, "text");
  if (text == nullptr)
    return fail(
        {.code = ErrorCode::kMalformed, .where = "record: key 'text'", .problem = "is no text"});
  return PostText{*text, count_graphemes(*text)};
}

bool same_record(std::string_view a, std::string_view b) {
  const json first = json::parse(a, nullptr, false);
  const json second = json::parse(b, nullptr, false);
  return !first.is_discarded() && first == second;
}

}  // namespace bobby::bluesky
