#include "tokenizer/json_object.h"

#include <fmt/format.h>

namespace bobby::detail {

std::string Problems::where(const std::string& path) const {
  return path.empty() ? file_ : fmt::format("{}: key '{}'", file_, path);
}
void Problems::malformed(const std::string& path, std::string problem, std::string found) {
  report(ErrorCode::kMalformed, path, std::move(problem), std::move(found));
}
void Problems::unsupported(const std::string& path, std::string problem, std::string found) {
  report(ErrorCode::kUnsupported, path, std::move(problem), std::move(found));
}
void Problems::report(ErrorCode code, const std::string& path, std::string problem,
                      std::string found) {
  errors_.push_back({.code = code,
                     .where = where(path),
                     .problem = std::move(problem),
                     .found = std::move(found)});
}

std::string_view kind_of(JsonElement element) {
  using simdjson::dom::element_type;
  switch (element.type()) {
    case element_type::ARRAY: return "an array";
    case element_type::OBJECT: return "an object";
    case element_type::INT64:
    case element_type::UINT64: return "an integer";
    case element_type::DOUBLE: return "a number";
    case element_type::STRING: return "a string";
    case element_type::BOOL: return "a boolean";
    case element_type::NULL_VALUE: return "null";
  }
  return "a value";
}

std::optional<JsonObject> JsonObject::from(JsonElement element, std::string path,
                                           Problems& problems) {
  simdjson::dom::object object;
  if (element.get(object)) {
    problems.malformed(path, "is not an object", std::string(kind_of(element)));
    return std::nullopt;
  }
  return JsonObject(object, std::move(path), problems);
}

std::string JsonObject::path_of(std::string_view key) const {
  return path_.empty() ? std::string(key) : fmt::format("{}.{}", path_, key);
}

std::optional<JsonElement> JsonObject::find(std::string_view key) {
  asked_.insert(key);
  JsonElement element;
  if (object_.at_key(key).get(element) || element.is_null()) return std::nullopt;
  return element;
}

std::string_view JsonObject::string(std::string_view key) {
  const auto element = find(key);
  std::string_view value;
  if (!element)
    problems_->malformed(path_of(key), "is missing");
  else if (element->get(value))
    problems_->malformed(path_of(key), "is not a string", std::string(kind_of(*element)));
  return value;
}

bool JsonObject::boolean(std::string_view key) {
  if (find(key)) return boolean(key, false);
  problems_->malformed(path_of(key), "is missing");
  return false;
}

bool JsonObject::boolean(std::string_view key, bool otherwise) {
  const auto element = find(key);
  bool value = otherwise;
  if (element && element->get(value))
    problems_->malformed(path_of(key), "is not a boolean", std::string(kind_of(*element)));
  return value;
}

void JsonObject::refuse_other_keys() {
  for (const auto field : object_)
    if (!asked_.contains(field.key)) {
      problems_->unsupported(path_of(field.key), "is not a key that is known here");
      if (problems_->enough()) return;
    }
}

}  // namespace bobby::detail
