#include "lora/json_object.h"

#include <cmath>
#include <fstream>
#include <limits>
#include <set>
#include <sstream>

namespace bobby {

namespace {

constexpr std::uintmax_t kLargestJsonFile = 64u << 20;
constexpr int kDeepestNesting = 64;  // the library copies and prints values by recursion

bool is_integer_in(const nlohmann::json& value, std::int64_t min, std::int64_t max) {
  if (!value.is_number_integer()) return false;
  if (value.is_number_unsigned() &&
      value.get<std::uint64_t>() >
          static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max()))
    return false;
  const std::int64_t number = value.get<std::int64_t>();
  return number >= min && number <= max;
}

std::string range_text(std::int64_t min, std::int64_t max) {
  return "an integer in [" + std::to_string(min) + ", " + std::to_string(max) + "]";
}

}  // namespace

std::string json_excerpt(const nlohmann::json& value) {
  // The replace handler keeps invalid UTF-8 from throwing.
  std::string text = value.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  if (text.size() > 80) text = text.substr(0, 77) + "...";
  return text;
}

Result<nlohmann::json> parse_json_object(std::string_view text, const std::string& name) {
  std::vector<std::set<std::string>> open_objects;  // the keys seen in each object being read
  std::optional<std::string> duplicate;
  bool too_deep = false;
  const auto watch = [&](int depth, nlohmann::json::parse_event_t event, nlohmann::json& value) {
    too_deep = too_deep || depth > kDeepestNesting;
    if (event == nlohmann::json::parse_event_t::object_start) open_objects.emplace_back();
    if (event == nlohmann::json::parse_event_t::object_end) open_objects.pop_back();
    if (event == nlohmann::json::parse_event_t::key &&
        !open_objects.back().insert(value.get<std::string>()).second && !duplicate)
      duplicate = value.get<std::string>();
    return !too_deep;
  };
  try {
    nlohmann::json parsed = nlohmann::json::parse(text.begin(), text.end(), watch);
    if (too_deep)
      return fail({.code = ErrorCode::kMalformed,
                   .where = name,
                   .problem = "nests its values too deeply",
                   .expected = "at most " + std::to_string(kDeepestNesting) + " levels"});
    if (duplicate)
      return fail({.code = ErrorCode::kMalformed,
                   .where = name + ": key '" + *duplicate + "'",
                   .problem = "stands twice in one object",
                   .hint = "keep one of them"});
    if (!parsed.is_object())
      return fail({.code = ErrorCode::kMalformed,
                   .where = name,
                   .problem = "is not a JSON object",
                   .found = json_excerpt(parsed)});
    return parsed;
  } catch (const nlohmann::json::exception& exception) {
    return fail({.code = ErrorCode::kMalformed,
                 .where = name,
                 .problem = std::string("is not valid JSON (") + exception.what() + ")",
                 .hint = "download or write the file again"});
  }
}

Result<nlohmann::json> read_json_object(const std::filesystem::path& path) {
  std::error_code code;
  if (!std::filesystem::is_regular_file(path, code))
    return fail(
        {.code = ErrorCode::kNotFound, .where = path.string(), .problem = "there is no such file"});
  const std::uintmax_t bytes = std::filesystem::file_size(path, code);
  if (!code && bytes > kLargestJsonFile)
    return fail({.code = ErrorCode::kLimit,
                 .where = path.string(),
                 .problem = "is too large",
                 .expected = "at most " + std::to_string(kLargestJsonFile) + " bytes",
                 .found = std::to_string(bytes)});
  std::ifstream stream(path, std::ios::binary);
  std::ostringstream text;
  text << stream.rdbuf();
  if (!stream)
    return fail({.code = ErrorCode::kIo, .where = path.string(), .problem = "cannot be read"});
  return parse_json_object(text.str(), path.string());
}

const nlohmann::json* JsonObject::find(std::string_view key) const {
  const auto it = object_.find(key);
  return it == object_.end() || it->is_null() ? nullptr : &*it;
}

void JsonObject::report(ErrorCode code, std::string_view key, std::string problem,
                        std::string expected, std::string found, std::string hint) {
  problems_.push_back({.code = code,
                       .where = name_ + ": key '" + std::string(key) + "'",
                       .problem = std::move(problem),
                       .expected = std::move(expected),
                       .found = std::move(found),
                       .hint = std::move(hint)});
}

void JsonObject::missing(std::string_view key, std::string expected) {
  report(ErrorCode::kMalformed, key, "is missing", std::move(expected));
}

std::int64_t JsonObject::integer(std::string_view key, std::int64_t min, std::int64_t max,
                                 std::optional<std::int64_t> fallback) {
  const nlohmann::json* value = find(key);
  if (!value && !fallback) missing(key, range_text(min, max));
  if (!value) return fallback.value_or(min);
  if (is_integer_in(*value, min, max)) return value->get<std::int64_t>();
  report(ErrorCode::kMalformed, key, "has an impossible value", range_text(min, max),
         json_excerpt(*value));
  return fallback.value_or(min);
}

double JsonObject::number(std::string_view key, std::optional<double> fallback) {
  const nlohmann::json* value = find(key);
  if (!value && !fallback) missing(key, "a number");
  if (!value) return fallback.value_or(1.0);
  // All of them become floats, and a double beyond their range has no float.
  if (value->is_number() && std::abs(value->get<double>()) <= std::numeric_limits<float>::max())
    return value->get<double>();
  report(ErrorCode::kMalformed, key, "is no number that a float holds", "a number",
         json_excerpt(*value));
  return fallback.value_or(1.0);
}

float JsonObject::positive(std::string_view key, std::optional<double> fallback) {
  const std::size_t problems = problems_.size();
  const double value = number(key, fallback);
  if (problems_.size() != problems) return 1.0f;
  const bool fits =
      value > 0.0 && value <= std::numeric_limits<float>::max() && static_cast<float>(value) > 0.0f;
  if (fits) return static_cast<float>(value);
  report(ErrorCode::kMalformed, key, "has an impossible value", "a float above 0",
         std::to_string(value));
  return 1.0f;
}

bool JsonObject::boolean(std::string_view key, std::optional<bool> fallback) {
  const nlohmann::json* value = find(key);
  if (!value && !fallback) missing(key, "true or false");
  if (!value) return fallback.value_or(false);
  if (value->is_boolean()) return value->get<bool>();
  report(ErrorCode::kMalformed, key, "has the wrong type", "true or false", json_excerpt(*value));
  return fallback.value_or(false);
}

std::string JsonObject::string(std::string_view key, std::optional<std::string> fallback) {
  const nlohmann::json* value = find(key);
  if (!value && !fallback) missing(key, "a string");
  if (!value) return fallback.value_or("");
  if (value->is_string()) return value->get<std::string>();
  report(ErrorCode::kMalformed, key, "has the wrong type", "a string", json_excerpt(*value));
  return fallback.value_or("");
}

std::string JsonObject::text_or_empty(std::string_view key) const {
  const nlohmann::json* value = find(key);
  return value && value->is_string() ? value->get<std::string>() : std::string();
}

std::vector<std::string> JsonObject::strings(std::string_view key) {
  const nlohmann::json* value = find(key);
  if (!value) return {};
  std::vector<std::string> found;
  bool good = value->is_array();
  if (good)
    for (const nlohmann::json& element : *value) {
      good = good && element.is_string();
      if (good) found.push_back(element.get<std::string>());
    }
  if (good) return found;
  report(ErrorCode::kMalformed, key, "has the wrong type", "a list of strings",
         json_excerpt(*value));
  return {};
}

std::vector<std::int64_t> JsonObject::integers(std::string_view key, std::int64_t min,
                                               std::int64_t max) {
  const nlohmann::json* value = find(key);
  if (!value) return {};
  const nlohmann::json list = value->is_array() ? *value : nlohmann::json::array({*value});
  std::vector<std::int64_t> found;
  for (const nlohmann::json& element : list) {
    if (!is_integer_in(element, min, max)) {
      report(ErrorCode::kMalformed, key, "has an impossible value",
             range_text(min, max) + " or a list of them", json_excerpt(*value));
      return {};
    }
    found.push_back(element.get<std::int64_t>());
  }
  return found;
}

const nlohmann::json* JsonObject::object(std::string_view key) {
  const nlohmann::json* value = find(key);
  if (!value || value->is_object()) return value;
  report(ErrorCode::kMalformed, key, "has the wrong type", "an object", json_excerpt(*value));
  return nullptr;
}

}  // namespace bobby
