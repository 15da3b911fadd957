#include "training/record_json.h"

#include <fmt/format.h>

namespace bobby {
namespace {

using Json = nlohmann::ordered_json;
constexpr int kMostDepth = 64;

struct TooDeep {};

}  // namespace

Result<Json> parse_record(std::string_view line, const std::string& where) {
  const auto malformed = [&](std::string problem, std::string found = {}) {
    return fail({.code = ErrorCode::kMalformed,
                 .where = where,
                 .problem = std::move(problem),
                 .expected = found.empty() ? "" : "one object a line",
                 .found = std::move(found)});
  };
  const auto limit = [](int depth, Json::parse_event_t, Json&) {
    if (depth > kMostDepth) throw TooDeep();
    return true;
  };
  try {
    Json json = Json::parse(line, limit);
    if (!json.is_object())
      return malformed("is not a JSON object", fmt::format("a value of type {}", json.type_name()));
    return json;
  } catch (const Json::parse_error& error) {
    return malformed(fmt::format("is not JSON (near byte {} of the line)", error.byte));
  } catch (const Json::exception&) {
    return malformed("is not JSON (a number no one can hold)");
  } catch (const TooDeep&) {
    return malformed(fmt::format("is nested deeper than {}", kMostDepth));
  }
}

}  // namespace bobby
