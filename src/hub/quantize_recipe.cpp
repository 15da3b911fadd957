#include "hub/quantize_recipe.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <tuple>

#include "lora/json_object.h"
#include "tensor/formats/affine.h"

namespace bobby {
namespace {

struct Recipe {
  std::string_view name;
  int low_bits;
  int high_bits;
};

constexpr std::array<Recipe, 4> kRecipes = {
    {{"mixed_2_6", 2, 6}, {"mixed_3_4", 3, 4}, {"mixed_3_6", 3, 6}, {"mixed_4_6", 4, 6}}};

/// N of "model.layers.N.…"; 0 for what is in no layer.
std::int64_t layer_of(std::string_view path) {
  constexpr std::string_view kLayers = "model.layers.";
  std::int64_t layer = 0;
  if (path.starts_with(kLayers)) {
    path.remove_prefix(kLayers.size());
    std::from_chars(path.data(), path.data() + path.size(), layer);
  }
  return layer;
}

bool contains(std::string_view path, std::string_view part) {
  return path.find(part) != std::string_view::npos;
}

template <std::size_t kCount>
bool is_one_of(const std::array<int, kCount>& known, std::int64_t value) {
  return std::ranges::find(known, value) != known.end();
}

/// `entry`'s number under `key`, or nothing where it is absent.
template <std::size_t kCount>
std::optional<int> number(JsonObject& entry, std::string_view key,
                          const std::array<int, kCount>& known) {
  if (!entry.contains(key)) return std::nullopt;
  const std::size_t problems = entry.problems().size();
  const std::int64_t value = entry.integer(key, 1, 1 << 20);
  if (entry.problems().size() != problems) return std::nullopt;
  if (!is_one_of(known, value)) {
    entry.report(ErrorCode::kUnsupported, key, "is not implemented",
                 fmt::format("one of {}", fmt::join(known, ", ")), std::to_string(value));
    return std::nullopt;
  }
  return static_cast<int>(value);
}

void check_mode(JsonObject& entry) {
  const std::string mode = entry.string("mode", "affine");
  if (mode != "affine")
    entry.report(ErrorCode::kUnsupported, "mode", "is not what is quantised to", "\"affine\"",
                 json_excerpt(mode));
}

QuantizeRule read_rule(const std::string& path, const nlohmann::json& value, int group_size,
                       JsonObject& file) {
  QuantizeRule rule{.path = path, .quantization = {}};
  if (value.is_boolean() && !value.get<bool>()) return rule;
  if (!value.is_object()) {
    file.report(ErrorCode::kMalformed, path, "has the wrong value",
                "false or an object with \"bits\"", json_excerpt(value));
    return rule;
  }
  JsonObject entry(value, fmt::format("{}: '{}'", file.name(), path), file.problems());
  check_mode(entry);
  const std::optional<int> bits = number(entry, "bits", kAffineBits);
  if (!entry.contains("bits"))
    entry.report(ErrorCode::kMalformed, "bits", "is missing", "2, 3, 4, 5, 6 or 8");
  const std::optional<int> own = number(entry, "group_size", kAffineGroupSizes);
  rule.quantization = QuantizationConfig{own.value_or(group_size), bits.value_or(4)};
  return rule;
}

}  // namespace

std::vector<std::string> quantize_recipes() {
  std::vector<std::string> names;
  for (const Recipe& recipe : kRecipes) names.emplace_back(recipe.name);
  return names;
}

Result<int> recipe_bits(std::string_view recipe, std::string_view path, std::int64_t layers) {
  const auto* found = std::ranges::find(kRecipes, recipe, &Recipe::name);
  if (found == kRecipes.end())
    return fail(
        {.code = ErrorCode::kNotFound,
         .where = fmt::format("'{}'", recipe),
         .problem = "is neither a recipe nor a file",
         .expected = fmt::format("{}, or a file of rules", fmt::join(quantize_recipes(), ", "))});
  // mlx_lm/convert.py, mixed_quant_predicate_builder: Python's % is never negative, but below
  // layers / 8 the first condition holds anyway.
  const std::int64_t layer = layer_of(path);
  const std::int64_t eighth = layers / 8;
  const bool more = layer < eighth || layer >= 7 * layers / 8 || (layer - eighth) % 3 == 2;
  const bool sensitive = contains(path, "v_proj") || contains(path, "down_proj");
  if ((sensitive && more) || contains(path, "lm_head")) return found->high_bits;
  return found->low_bits;
}

Result<QuantizeRules> read_quantize_rules(const std::filesystem::path& file, int group_size) {
  BOBBY_TRY(const nlohmann::json json, read_json_object(file));
  std::vector<Error> problems;
  JsonObject object(json, file.string(), problems);
  QuantizeRules made;
  check_mode(object);
  made.bits = number(object, "bits", kAffineBits);
  made.group_size = number(object, "group_size", kAffineGroupSizes);
  for (const auto& [path, value] : json.items())
    if (path != "bits" && path != "group_size" && path != "mode")
      made.rules.push_back(read_rule(path, value, made.group_size.value_or(group_size), object));
  if (!problems.empty()) return fail(join_errors(std::move(problems)));
  const auto rank = [](const QuantizeRule& rule) {
    return std::tuple(!contains(rule.path, "*"), rule.path.size());
  };
  std::ranges::stable_sort(made.rules, {}, rank);
  return made;
}

Result<QuantizeRule> parse_quantize_rule(std::string_view text, int group_size) {
  const auto wrong = [&](std::string problem) {
    return fail({.code = ErrorCode::kUsage,
                 .where = fmt::format("'{}'", text),
                 .problem = std::move(problem),
                 .expected = "PATH=BITS, PATH=BITS:GROUP_SIZE or PATH=dense"});
  };
  const std::size_t equals = text.rfind('=');
  if (equals == std::string_view::npos || equals == 0)
    return wrong("does not say what is quantised how");
  QuantizeRule rule{.path = std::string(text.substr(0, equals)), .quantization = {}};
  const std::string_view value = text.substr(equals + 1);
  if (value == "dense") return rule;
  QuantizationConfig how{group_size, 0};
  const char* end = value.data() + value.size();
  auto read = std::from_chars(value.data(), end, how.bits);
  if (read.ec == std::errc() && read.ptr != end && *read.ptr == ':')
    read = std::from_chars(read.ptr + 1, end, how.group_size);
  if (read.ec != std::errc() || read.ptr != end) return wrong("is no rule");
  if (!is_one_of(kAffineBits, how.bits))
    return wrong(fmt::format("there is no format of {} bits", how.bits));
  if (!is_one_of(kAffineGroupSizes, how.group_size))
    return wrong(fmt::format("there are no groups of {}", how.group_size));
  rule.quantization = how;
  return rule;
}

bool path_matches(std::string_view pattern, std::string_view path) {
  std::size_t at = 0;
  std::size_t in = 0;
  std::size_t star = std::string_view::npos;  // the last '*' met, and where it may end next
  std::size_t resume = 0;
  while (in < path.size()) {
    if (at < pattern.size() && pattern[at] == '*') {
      star = at++;
      resume = in;
    } else if (at < pattern.size() && pattern[at] == path[in]) {
      ++at;
      ++in;
    } else if (star != std::string_view::npos) {
      at = star + 1;
      in = ++resume;
    } else {
      return false;
    }
  }
  return pattern.find_first_not_of('*', at) == std::string_view::npos;
}

}  // namespace bobby
