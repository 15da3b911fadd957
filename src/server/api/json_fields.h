#pragma once

#include <cstddef>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace bobby::server {

/// A request's body as a JSON object. kMalformed with the byte where it stops being JSON or UTF-8;
/// a name that stands twice, and nesting deeper than any request's, are refused too.
Result<nlohmann::json> parse_body(std::string_view body);

/// Whole numbers that every JSON reader keeps: 2^53 - 1.
inline constexpr std::int64_t kMostExact = 9007199254740991;

/// A value as messages show it: short, "an object", "a list".
std::string shown(const nlohmann::json& value);

/// Strict, typed look at the fields of a JSON object. The first problem is kept; what is returned
/// after it is harmless. A field that is null counts as absent. An error's `where` is the field's
/// name with what leads to it: "messages[0].content".
class Fields {
 public:
  /// `known`: every name that may stand there. `object` must be an object; all must outlive this.
  Fields(const nlohmann::json& object, std::span<const std::string_view> known,
         std::string prefix = {});

  /// The value of `name`, or null when it is absent or null.
  const nlohmann::json* find(std::string_view name) const;

  std::optional<std::int64_t> integer(std::string_view name, std::int64_t min, std::int64_t max);
  std::optional<double> number(std::string_view name, double min, double max);
  std::optional<bool> boolean(std::string_view name);
  std::optional<std::string> text(std::string_view name);
  /// One of `choices`.
  std::optional<std::string> choice(std::string_view name,
                                    std::span<const std::string_view> choices);
  /// A list of at most `most` values, or null when it is absent.
  const nlohmann::json* list(std::string_view name, std::size_t most);
  /// An object, or null when it is absent.
  const nlohmann::json* object(std::string_view name);

  /// Makes `name` required.
  void require(std::string_view name);

  /// Notes a problem with the field.
  void report(std::string_view name, std::string problem, std::string expected = {},
              std::string found = {}, std::string hint = {});
  /// Notes a problem found elsewhere: in an object within this one.
  void report(Error error);

  /// The first problem, if there was one.
  Result<void> check() const;

  /// "messages[0].content" for `name` "content".
  std::string path(std::string_view name) const { return prefix_ + std::string(name); }

 private:
  void wrong(std::string_view name, std::string expected, const nlohmann::json& found);

  const nlohmann::json* object_;
  std::string prefix_;
  std::optional<Error> problem_;
};

/// `value`, which stands at `where`, as a whole number or a number in [min, max].
Result<std::int64_t> integer_at(const nlohmann::json& value, std::string where, std::int64_t min,
                                std::int64_t max);
Result<double> number_at(const nlohmann::json& value, std::string where, double min, double max);

}  // namespace bobby::server
