#pragma once

#include <cstdint>
#include <limits>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>
#include <yaml-cpp/yaml.h>

#include "base/error.h"

namespace bobby {

/// A problem with the line it was met in, by which problems are put in order.
struct YamlProblem {
  int line = 0;
  Error error;
};

/// The numbers a key may have.
struct YamlRange {
  double least = -std::numeric_limits<double>::max();
  double most = std::numeric_limits<double>::max();
  bool least_open = false;  ///< `least` itself is not allowed
  bool most_open = false;
};

/// Typed look at a mapping's keys. Whatever is wrong becomes a problem with its line, and the
/// fallback is returned in its place. A null counts as absent, as it does in mlx-lm.
class YamlMapping {
 public:
  /// `file` begins each message; `path` is put before keys ("lora_parameters."). `problems` must
  /// outlive this.
  YamlMapping(const YAML::Node& node, std::string file, std::string path,
              std::vector<YamlProblem>& problems);

  /// Present and not null. The key counts as known from here on, as by every reading function.
  bool contains(std::string_view key);
  std::int64_t integer(std::string_view key, std::int64_t least, std::int64_t most,
                       std::int64_t fallback);
  double number(std::string_view key, const YamlRange& range, double fallback);
  bool boolean(std::string_view key, bool fallback);
  std::string string(std::string_view key, std::string fallback);
  /// Absent or wrong: nullopt.
  std::optional<std::vector<std::string>> strings(std::string_view key);
  std::optional<std::vector<double>> numbers(std::string_view key);
  std::optional<YamlMapping> mapping(std::string_view key);

  /// "key 'KEY' PROBLEM: expected, found" at the key's line (the mapping's when it has no such
  /// key).
  void report(std::string_view key, std::string problem, std::string expected = {},
              std::string found = {}, std::string hint = {});
  /// The same, with what stands at the key as what was found.
  void wrong(std::string_view key, std::string problem, std::string expected);
  /// Reports keys that nothing asked for, each with the nearest one that is known.
  void refuse_other_keys();

 private:
  YAML::Node find(std::string_view key);
  int line_of(std::string_view key) const;

  YAML::Node node_;
  std::string file_;
  std::string path_;
  std::vector<YamlProblem>* problems_;
  std::set<std::string, std::less<>> known_;
};

}  // namespace bobby
