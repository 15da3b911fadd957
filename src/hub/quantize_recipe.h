#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "model/config.h"

namespace bobby {

/// What is said of modules by path.
struct QuantizeRule {
  std::string path;  ///< of a module, "model.layers.0.mlp.down_proj"; '*' stands for any characters
  std::optional<QuantizationConfig> quantization;  ///< unset: it stays dense
};

/// mlx-lm's recipes: "mixed_2_6", "mixed_3_4", "mixed_3_6", "mixed_4_6".
std::vector<std::string> quantize_recipes();

/// The bits that an mlx-lm recipe gives a module: more for lm_head, and for v_proj and down_proj in
/// the first eighth of the layers, the last, and every third between. kNotFound names the recipes.
Result<int> recipe_bits(std::string_view recipe, std::string_view path, std::int64_t layers);

/// What a file of rules says.
struct QuantizeRules {
  std::optional<int> bits;  ///< of what no rule names
  std::optional<int> group_size;
  std::vector<QuantizeRule> rules;  ///< the last that matches counts
};

/// Reads a JSON object like config.json's `quantization`: "bits" and "group_size" for all, and
/// under paths objects of the same two, or false. A rule without group_size takes the file's, or
/// else `group_size`. Exact paths count over patterns, longer patterns over shorter ones.
/// kNotFound, kIo, kMalformed, kUnsupported; all problems in one Error.
Result<QuantizeRules> read_quantize_rules(const std::filesystem::path& file, int group_size);

/// "PATH=BITS", "PATH=BITS:GROUP_SIZE" or "PATH=dense". kUsage.
Result<QuantizeRule> parse_quantize_rule(std::string_view text, int group_size);

/// Whether `path` is what `pattern` stands for.
bool path_matches(std::string_view pattern, std::string_view path);

}  // namespace bobby
