#pragma once

#include <optional>
#include <set>
#include <simdjson.h>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace bobby::detail {

using JsonElement = simdjson::dom::element;

/// Everything that is wrong with one file, each named by its key.
class Problems {
 public:
  explicit Problems(std::string_view file) : file_(file) {}

  void malformed(const std::string& path, std::string problem, std::string found = {});
  void unsupported(const std::string& path, std::string problem, std::string found = {});
  void report(ErrorCode code, const std::string& path, std::string problem, std::string found = {});

  void add(Error error) { errors_.push_back(std::move(error)); }

  bool any() const { return !errors_.empty(); }
  /// So many that more of them would not help.
  bool enough() const { return errors_.size() >= 16; }
  Error joined() && { return join_errors(std::move(errors_)); }
  /// "FILE: key 'PATH'"
  std::string where(const std::string& path) const;

 private:
  std::string file_;
  std::vector<Error> errors_;
};

/// An object of the file, read key by key; what is wrong is reported. Must not outlive the parser.
class JsonObject {
 public:
  /// Reports `element` and answers nullopt if it is no object.
  static std::optional<JsonObject> from(JsonElement element, std::string path, Problems& problems);

  /// The value of `key`; nullopt if it is absent or null.
  std::optional<JsonElement> find(std::string_view key);
  /// The value of `key`, reported if absent or of another type.
  std::string_view string(std::string_view key);
  bool boolean(std::string_view key);
  /// `otherwise` if absent or null; reported if of another type.
  bool boolean(std::string_view key, bool otherwise);

  /// Reports every key that was not asked for.
  void refuse_other_keys();

  const std::string& path() const { return path_; }
  std::string path_of(std::string_view key) const;

 private:
  JsonObject(simdjson::dom::object object, std::string path, Problems& problems)
      : object_(object), path_(std::move(path)), problems_(&problems) {}

  simdjson::dom::object object_;
  std::string path_;
  Problems* problems_;
  std::set<std::string_view> asked_;
};

/// "a string", "an object"...
std::string_view kind_of(JsonElement element);

}  // namespace bobby::detail
