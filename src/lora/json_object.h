#pragma once

#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace bobby {

/// Parses `text` as one JSON object. kMalformed for bad syntax, for a key that stands twice, and
/// for anything but an object; `name` is the file's name for messages.
Result<nlohmann::json> parse_json_object(std::string_view text, const std::string& name);

/// The same for a file of at most 64 MB. kNotFound, kIo, kLimit or kMalformed.
Result<nlohmann::json> read_json_object(const std::filesystem::path& path);

/// Typed look at a JSON object's keys. Every wrong or missing one becomes a problem that names it,
/// so that all are reported together; the value returned in its place is harmless.
/// A key whose value is null counts as absent.
class JsonObject {
 public:
  /// `name` starts each message, e.g. "config.json". Everything must outlive this.
  JsonObject(const nlohmann::json& object, std::string name, std::vector<Error>& problems)
      : object_(object), name_(std::move(name)), problems_(problems) {}

  const std::string& name() const { return name_; }
  std::vector<Error>& problems() { return problems_; }

  const nlohmann::json* find(std::string_view key) const;
  bool contains(std::string_view key) const { return find(key) != nullptr; }

  /// An integer in [min, max]; without `fallback` the key is required.
  std::int64_t integer(std::string_view key, std::int64_t min, std::int64_t max,
                       std::optional<std::int64_t> fallback = std::nullopt);
  /// A number within a float's range; without `fallback` the key is required.
  double number(std::string_view key, std::optional<double> fallback = std::nullopt);
  /// A number > 0 that stays so as a float.
  float positive(std::string_view key, std::optional<double> fallback = std::nullopt);
  bool boolean(std::string_view key, std::optional<bool> fallback = std::nullopt);
  std::string string(std::string_view key, std::optional<std::string> fallback = std::nullopt);
  /// A string that nothing depends on: "" for anything else, without a problem.
  std::string text_or_empty(std::string_view key) const;
  /// A list of strings; absent: empty.
  std::vector<std::string> strings(std::string_view key);
  /// An integer in [min, max], or a list of them; absent: empty.
  std::vector<std::int64_t> integers(std::string_view key, std::int64_t min, std::int64_t max);
  /// An object under this key, or null when it is absent (or not an object: a problem).
  const nlohmann::json* object(std::string_view key);

  /// Adds a problem with this key: "NAME: key 'KEY': PROBLEM".
  void report(ErrorCode code, std::string_view key, std::string problem, std::string expected = {},
              std::string found = {}, std::string hint = {});

 private:
  void missing(std::string_view key, std::string expected);

  const nlohmann::json& object_;
  std::string name_;
  std::vector<Error>& problems_;
};

/// A value as it stands in the file, shortened for a message.
std::string json_excerpt(const nlohmann::json& value);

}  // namespace bobby
