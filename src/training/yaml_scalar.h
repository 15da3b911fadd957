#pragma once

#include <cstdint>
#include <string>
#include <variant>
#include <yaml-cpp/yaml.h>

namespace bobby {

/// A scalar as Python's YAML reader takes it: null, a boolean, an integer, a number, or text.
using YamlScalar = std::variant<std::monostate, bool, std::int64_t, double, std::string>;

/// The value of a scalar node by YAML 1.1's rules with mlx-lm's own for numbers (1e-5 is one).
/// Quoted text is text. An integer past 64 bits is a number.
YamlScalar yaml_scalar(const YAML::Node& node);

/// What a node is, for messages: "the text 'abc'", "the number 1.5", "a list", "nothing".
std::string yaml_excerpt(const YAML::Node& node);

}  // namespace bobby
