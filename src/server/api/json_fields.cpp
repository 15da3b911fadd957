#include "server/api/json_fields.h"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <set>
#include <stdexcept>

#include "base/nearest_name.h"

namespace bobby::server {
namespace {

using nlohmann::json;

constexpr int kDeepest = 16;
constexpr std::size_t kShownBytes = 40;

/// Ends a parse from within its callback; does not leave parse_body().
struct Refused : std::runtime_error {
  using std::runtime_error::runtime_error;
};

Error malformed(std::string problem) {
  return {.code = ErrorCode::kMalformed, .problem = std::move(problem)};
}

/// Refuses names that stand twice in one object and deep nesting, while the text is read.
class Watch {
 public:
  bool operator()(int depth, json::parse_event_t event, json& value) {
    if (depth > kDeepest)
      throw Refused(fmt::format("the body is nested more than {} deep", kDeepest));
    if (event == json::parse_event_t::object_start) {
      names_.emplace_back();
    } else if (event == json::parse_event_t::object_end) {
      names_.pop_back();
    } else if (event == json::parse_event_t::key) {
      const auto& name = value.get_ref<const std::string&>();
      if (!names_.back().insert(name).second)
        throw Refused(fmt::format("the body has the field {} twice", shown(value)));
    }
    return true;
  }

 private:
  std::vector<std::set<std::string>> names_;
};

std::string integer_range(std::int64_t min, std::int64_t max) {
  if (max == kMostExact) return fmt::format("a whole number of at least {}", min);
  return fmt::format("a whole number from {} to {}", min, max);
}

}  // namespace

std::string shown(const json& value) {
  if (value.is_object()) return "an object";
  if (value.is_array()) return "a list";
  std::string text = value.dump(-1, ' ', true, json::error_handler_t::replace);
  if (text.size() > kShownBytes) text = text.substr(0, kShownBytes) + "...";
  return text;
}

Result<json> parse_body(std::string_view body) {
  if (body.find_first_not_of(" \t\r\n") == std::string_view::npos)
    return fail({.code = ErrorCode::kMalformed,
                 .problem = "the body is empty",
                 .expected = "a JSON object"});
  try {
    Watch watch;
    json parsed = json::parse(body, [&watch](int depth, json::parse_event_t event, json& value) {
      return watch(depth, event, value);
    });
    if (!parsed.is_object())
      return fail({.code = ErrorCode::kMalformed,
                   .problem = "the body is not a JSON object",
                   .expected = "an object",
                   .found = shown(parsed)});
    return parsed;
  } catch (const Refused& refused) {
    return fail(malformed(refused.what()));
  } catch (const json::parse_error& error) {
    const std::string_view what = error.what();
    const bool utf8 = what.find("UTF-8") != std::string_view::npos;
    return fail(malformed(
        fmt::format("the body is not valid {} at byte {}", utf8 ? "UTF-8" : "JSON", error.byte)));
  } catch (const json::exception&) {  // a number too large for any type
    return fail(malformed("the body holds a number that is out of range"));
  }
}

Result<std::int64_t> integer_at(const json& value, std::string where, std::int64_t min,
                                std::int64_t max) {
  const auto wrong = [&] {
    return fail({.code = ErrorCode::kUsage,
                 .where = std::move(where),
                 .problem = value.is_number() ? "is out of range" : "has the wrong type",
                 .expected = integer_range(min, max),
                 .found = shown(value)});
  };
  // 3.0 is a whole number too: writers that know one kind of number send it.
  if (value.is_number_float()) {
    const double number = value.get<double>();
    if (std::trunc(number) != number || std::abs(number) > static_cast<double>(kMostExact))
      return wrong();
  } else if (!value.is_number_integer()) {
    return wrong();
  }
  if (value.is_number_unsigned() &&
      value.get<std::uint64_t>() > static_cast<std::uint64_t>(kMostExact))
    return wrong();
  const auto number = value.get<std::int64_t>();
  if (number < min || number > max) return wrong();
  return number;
}

Result<double> number_at(const json& value, std::string where, double min, double max) {
  const double number = value.is_number() ? value.get<double>() : 0.0;
  if (value.is_number() && number >= min && number <= max) return number;
  return fail({.code = ErrorCode::kUsage,
               .where = std::move(where),
               .problem = value.is_number() ? "is out of range" : "has the wrong type",
               .expected = fmt::format("a number from {} to {}", min, max),
               .found = shown(value)});
}

Fields::Fields(const json& object, std::span<const std::string_view> known, std::string prefix)
    : object_(&object), prefix_(std::move(prefix)) {
  for (const auto& [name, value] : object.items())
    if (std::ranges::find(known, name) == known.end())
      report(name, "is not a field that is known here", {}, {},
             fmt::format("the nearest is '{}'", nearest_name(name, known)));
}

const json* Fields::find(std::string_view name) const {
  const auto found = object_->find(name);
  return found == object_->end() || found->is_null() ? nullptr : &*found;
}

std::optional<std::int64_t> Fields::integer(std::string_view name, std::int64_t min,
                                            std::int64_t max) {
  const json* value = find(name);
  if (value == nullptr) return std::nullopt;
  auto number = integer_at(*value, path(name), min, max);
  if (number) return *number;
  report(std::move(number).error());
  return std::nullopt;
}

std::optional<double> Fields::number(std::string_view name, double min, double max) {
  const json* value = find(name);
  if (value == nullptr) return std::nullopt;
  auto number = number_at(*value, path(name), min, max);
  if (number) return *number;
  report(std::move(number).error());
  return std::nullopt;
}

std::optional<bool> Fields::boolean(std::string_view name) {
  const json* value = find(name);
  if (value == nullptr) return std::nullopt;
  if (value->is_boolean()) return value->get<bool>();
  wrong(name, "true or false", *value);
  return std::nullopt;
}

std::optional<std::string> Fields::text(std::string_view name) {
  const json* value = find(name);
  if (value == nullptr) return std::nullopt;
  if (value->is_string()) return value->get<std::string>();
  wrong(name, "a string", *value);
  return std::nullopt;
}

std::optional<std::string> Fields::choice(std::string_view name,
                                          std::span<const std::string_view> choices) {
  auto value = text(name);
  if (!value || std::ranges::find(choices, *value) != choices.end()) return value;
  report(name, "is none of its values", fmt::format("one of {}", fmt::join(choices, ", ")),
         shown(*find(name)));
  return std::nullopt;
}

const json* Fields::list(std::string_view name, std::size_t most) {
  const json* value = find(name);
  if (value == nullptr) return nullptr;
  if (!value->is_array()) {
    wrong(name, "a list", *value);
    return nullptr;
  }
  if (value->size() <= most) return value;
  report(name, "is too long", fmt::format("at most {} entries", most),
         std::to_string(value->size()));
  return nullptr;
}

const json* Fields::object(std::string_view name) {
  const json* value = find(name);
  if (value == nullptr || value->is_object()) return value;
  wrong(name, "an object", *value);
  return nullptr;
}

void Fields::require(std::string_view name) {
  if (find(name) == nullptr) report(name, "is missing");
}

void Fields::report(std::string_view name, std::string problem, std::string expected,
                    std::string found, std::string hint) {
  report({.code = ErrorCode::kUsage,
          .where = path(name),
          .problem = std::move(problem),
          .expected = std::move(expected),
          .found = std::move(found),
          .hint = std::move(hint)});
}

void Fields::report(Error error) {
  if (!problem_) problem_ = std::move(error);
}

Result<void> Fields::check() const {
  if (problem_) return fail(*problem_);
  return {};
}

void Fields::wrong(std::string_view name, std::string expected, const json& found) {
  report(name, "has the wrong type", std::move(expected), shown(found));
}

}  // namespace bobby::server
