#include "bluesky/labels.h"

#include <algorithm>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "bluesky/json_answer.h"
#include "bluesky/post_record.h"

namespace bobby::bluesky {
namespace {

using nlohmann::json;

constexpr const char* kSelfLabels = "com.atproto.label.defs#selfLabels";

bool is_label(const json& value, std::string_view label) {
  const std::string* text = text_of(value, "val");
  return text != nullptr && *text == label;
}

tl::unexpected<Error> refuse(ErrorCode code, std::string_view key, std::string problem) {
  return fail(
      {.code = code, .where = fmt::format("profile{}", key), .problem = std::move(problem)});
}

Result<json> parse_profile(std::string_view record) {
  if (record.empty()) return json{{"$type", kProfileCollection}};
  json profile = json::parse(record, nullptr, false);
  if (!profile.is_object()) return refuse(ErrorCode::kMalformed, "", "is no JSON object");
  return profile;
}

}  // namespace

Result<std::optional<std::string>> with_self_label(std::string_view record, std::string_view label,
                                                   bool set) {
  if (label.empty() || label.size() > kMostLabelBytes)
    return refuse(ErrorCode::kUsage, ": a label",
                  fmt::format("has between 1 and {} bytes", kMostLabelBytes));
  BOBBY_TRY(json profile, parse_profile(record));
  if (!profile.contains("labels")) {
    if (!set) return std::nullopt;
    profile["labels"] = {{"$type", kSelfLabels}, {"values", json::array()}};
  }
  json& labels = profile["labels"];
  const std::string* type = text_of(labels, "$type");
  if (type == nullptr || *type != kSelfLabels)
    return refuse(ErrorCode::kUnsupported, ": key 'labels'",
                  "is of a kind that this program does not know");
  json& values = labels["values"];
  if (!values.is_array())
    return refuse(ErrorCode::kMalformed, ": key 'labels.values'", "is no list");
  const auto found =
      std::ranges::find_if(values, [&](const json& value) { return is_label(value, label); });
  if ((found != values.end()) == set) return std::nullopt;
  if (set) {
    if (values.size() >= kMostSelfLabels)
      return refuse(ErrorCode::kLimit, ": key 'labels'",
                    fmt::format("has {} labels, and may have no more", values.size()));
    values.push_back({{"val", label}});
  } else {
    values.erase(std::remove_if(values.begin(), values.end(),
                                [&](const json& value) { return is_label(value, label); }),
                 values.end());
    if (values.empty()) profile.erase("labels");
  }
  return profile.dump(-1, ' ', false, json::error_handler_t::replace);
}

bool has_self_label(std::string_view record, std::string_view label) {
  const json profile = json::parse(record, nullptr, false);
  if (!profile.is_object() || !profile.contains("labels")) return false;
  const json& labels = profile["labels"];
  if (!labels.is_object() || !labels.contains("values") || !labels["values"].is_array())
    return false;
  return std::ranges::any_of(labels["values"],
                             [&](const json& value) { return is_label(value, label); });
}

}  // namespace bobby::bluesky
