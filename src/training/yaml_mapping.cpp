#include "training/yaml_mapping.h"

#include <cmath>
#include <fmt/format.h>
#include <map>
#include <utility>

#include "base/nearest_name.h"
#include "training/yaml_scalar.h"

namespace bobby {
namespace {

std::string range_text(const YamlRange& range) {
  const bool least = range.least > -std::numeric_limits<double>::max();
  const bool most = range.most < std::numeric_limits<double>::max();
  if (least && most)
    return fmt::format("a number in {}{}, {}{}", range.least_open ? "(" : "[", range.least,
                       range.most, range.most_open ? ")" : "]");
  if (least) return fmt::format("a number {} {}", range.least_open ? ">" : ">=", range.least);
  return most ? fmt::format("a number {} {}", range.most_open ? "<" : "<=", range.most)
              : "a number";
}

bool in_range(const YamlRange& range, double value) {
  return std::isfinite(value) && value >= range.least && value <= range.most &&
         !(range.least_open && value == range.least) && !(range.most_open && value == range.most);
}

// A key for messages; a file may hold megabytes of one.
std::string key_text(const YAML::Node& key) {
  return key.IsScalar() ? key.Scalar().substr(0, 60) : "(not a text)";
}

constexpr std::size_t kMostUnknownKeys = 20;

std::optional<double> as_number(const YAML::Node& node) {
  if (!node.IsScalar()) return std::nullopt;
  const YamlScalar value = yaml_scalar(node);
  if (const auto* integer = std::get_if<std::int64_t>(&value)) return static_cast<double>(*integer);
  if (const auto* number = std::get_if<double>(&value)) return *number;
  return std::nullopt;
}

std::optional<std::string> as_string(const YAML::Node& node) {
  if (!node.IsScalar()) return std::nullopt;
  const YamlScalar value = yaml_scalar(node);
  const auto* text = std::get_if<std::string>(&value);
  return text == nullptr ? std::nullopt : std::optional(*text);
}

}  // namespace

YamlMapping::YamlMapping(const YAML::Node& node, std::string file, std::string path,
                         std::vector<YamlProblem>& problems)
    : node_(node), file_(std::move(file)), path_(std::move(path)), problems_(&problems) {
  std::map<std::string, int> lines;
  for (const auto& entry : node_) {
    const int line = entry.first.Mark().line + 1;
    const std::string key = key_text(entry.first);
    const auto [first, is_new] = lines.emplace(key, line);
    if (is_new) continue;
    problems.push_back({line,
                        {.code = ErrorCode::kUsage,
                         .where = fmt::format("{}:{}: key '{}{}'", file_, line, path_, key),
                         .problem = fmt::format("stands in line {} already", first->second),
                         .hint = "keep one of the two"}});
  }
}

YAML::Node YamlMapping::find(std::string_view key) {
  known_.emplace(key);
  for (const auto& entry : node_)
    if (entry.first.IsScalar() && entry.first.Scalar() == key) {
      const bool is_null = entry.second.IsNull() ||
                           (entry.second.IsScalar() &&
                            std::holds_alternative<std::monostate>(yaml_scalar(entry.second)));
      return is_null ? YAML::Node(YAML::NodeType::Undefined) : entry.second;
    }
  return YAML::Node(YAML::NodeType::Undefined);
}

int YamlMapping::line_of(std::string_view key) const {
  for (const auto& entry : node_)
    if (entry.first.IsScalar() && entry.first.Scalar() == key) return entry.first.Mark().line + 1;
  return node_.Mark().line + 1;
}

void YamlMapping::report(std::string_view key, std::string problem, std::string expected,
                         std::string found, std::string hint) {
  const int line = line_of(key);
  problems_->push_back({line,
                        {.code = ErrorCode::kUsage,
                         .where = fmt::format("{}:{}: key '{}{}'", file_, line, path_, key),
                         .problem = std::move(problem),
                         .expected = std::move(expected),
                         .found = std::move(found),
                         .hint = std::move(hint)}});
}

void YamlMapping::wrong(std::string_view key, std::string problem, std::string expected) {
  const YAML::Node node = find(key);
  report(key, std::move(problem), std::move(expected),
         node.IsDefined() ? yaml_excerpt(node) : "nothing");
}

bool YamlMapping::contains(std::string_view key) {
  return find(key).IsDefined();
}

std::int64_t YamlMapping::integer(std::string_view key, std::int64_t least, std::int64_t most,
                                  std::int64_t fallback) {
  const YAML::Node node = find(key);
  if (!node.IsDefined()) return fallback;
  if (node.IsScalar()) {
    const YamlScalar value = yaml_scalar(node);
    if (const auto* integer = std::get_if<std::int64_t>(&value))
      if (*integer >= least && *integer <= most) return *integer;
  }
  constexpr auto kMost = std::numeric_limits<std::int64_t>::max();
  wrong(key, "is not a number it can be",
        most == kMost ? fmt::format("an integer >= {}", least)
                      : fmt::format("an integer in [{}, {}]", least, most));
  return fallback;
}

double YamlMapping::number(std::string_view key, const YamlRange& range, double fallback) {
  const YAML::Node node = find(key);
  if (!node.IsDefined()) return fallback;
  if (const auto value = as_number(node); value && in_range(range, *value)) return *value;
  wrong(key, "is not a number it can be", range_text(range));
  return fallback;
}

bool YamlMapping::boolean(std::string_view key, bool fallback) {
  const YAML::Node node = find(key);
  if (!node.IsDefined()) return fallback;
  if (node.IsScalar()) {
    const YamlScalar value = yaml_scalar(node);
    if (const bool* boolean = std::get_if<bool>(&value)) return *boolean;
  }
  wrong(key, "is neither yes nor no", "true or false");
  return fallback;
}

std::string YamlMapping::string(std::string_view key, std::string fallback) {
  const YAML::Node node = find(key);
  if (!node.IsDefined()) return fallback;
  if (auto text = as_string(node)) return *std::move(text);
  wrong(key, "is not a text", "a text");
  return fallback;
}

std::optional<std::vector<std::string>> YamlMapping::strings(std::string_view key) {
  const YAML::Node node = find(key);
  if (!node.IsDefined()) return std::nullopt;
  std::vector<std::string> texts;
  bool right = node.IsSequence();
  if (right)
    for (const auto& each : node) {
      auto text = as_string(each);
      right = right && text.has_value();
      if (text) texts.push_back(*std::move(text));
    }
  if (right) return texts;
  wrong(key, "is not a list of texts", "a list of texts");
  return std::nullopt;
}

std::optional<std::vector<double>> YamlMapping::numbers(std::string_view key) {
  const YAML::Node node = find(key);
  if (!node.IsDefined()) return std::nullopt;
  std::vector<double> values;
  bool right = node.IsSequence();
  if (right)
    for (const auto& each : node) {
      const auto value = as_number(each);
      right = right && value && std::isfinite(*value);
      if (value) values.push_back(*value);
    }
  if (right) return values;
  wrong(key, "is not a list of numbers", "a list of numbers");
  return std::nullopt;
}

std::optional<YamlMapping> YamlMapping::mapping(std::string_view key) {
  const YAML::Node node = find(key);
  if (!node.IsDefined()) return std::nullopt;
  if (node.IsMap()) return YamlMapping(node, file_, fmt::format("{}{}.", path_, key), *problems_);
  wrong(key, "is not a mapping", "keys with values below it");
  return std::nullopt;
}

void YamlMapping::refuse_other_keys() {
  const std::vector<std::string_view> names(known_.begin(), known_.end());
  std::size_t told = 0;
  for (const auto& entry : node_) {
    const int line = entry.first.Mark().line + 1;
    const std::string key = key_text(entry.first);
    if (known_.contains(key)) continue;
    if (++told > kMostUnknownKeys) return;
    problems_->push_back(
        {line,
         {.code = ErrorCode::kUsage,
          .where = fmt::format("{}:{}: key '{}{}'", file_, line, path_, key),
          .problem = "is not known",
          .hint = key == "<<" ? "merge keys are not read: write the keys out"
                              : fmt::format("the nearest is '{}'", nearest_name(key, names))}});
  }
}

}  // namespace bobby
