#include "model/quantization_config.h"

#include <algorithm>

#include "tensor/formats/affine.h"

namespace bobby {

namespace {

/// One entry. The global one must have both numbers; a module's takes MLX's own defaults for what
/// it leaves out (not the global entry's).
QuantizationConfig read_entry(JsonObject entry, std::optional<QuantizationConfig> defaults) {
  const std::string mode = entry.string("mode", "affine");
  if (mode != "affine") {
    entry.report(ErrorCode::kUnsupported, "mode", "names a quantization that is not implemented",
                 "\"affine\"", json_excerpt(mode));
    return {};
  }
  const auto fallback = [&](int QuantizationConfig::*key) {
    return defaults ? std::optional<std::int64_t>((*defaults).*key) : std::nullopt;
  };
  const std::size_t problems = entry.problems().size();
  const auto group_size =
      entry.integer("group_size", 1, 1 << 20, fallback(&QuantizationConfig::group_size));
  const auto bits = entry.integer("bits", 1, 64, fallback(&QuantizationConfig::bits));
  if (entry.problems().size() != problems) return {};
  if (std::find(kAffineGroupSizes.begin(), kAffineGroupSizes.end(), group_size) ==
      kAffineGroupSizes.end())
    entry.report(ErrorCode::kUnsupported, "group_size", "is not implemented", "32, 64 or 128",
                 std::to_string(group_size));
  if (std::find(kAffineBits.begin(), kAffineBits.end(), bits) == kAffineBits.end())
    entry.report(ErrorCode::kUnsupported, "bits", "is not implemented", "2, 3, 4, 5, 6 or 8",
                 std::to_string(bits));
  return {static_cast<int>(group_size), static_cast<int>(bits)};
}

bool is_setting(const std::string& key) {
  return key == "group_size" || key == "bits" || key == "mode";
}

void refuse_foreign_scheme(JsonObject& json) {
  const nlohmann::json* foreign = json.object("quantization_config");
  if (!foreign) return;
  JsonObject entry(*foreign, json.name() + ": quantization_config", json.problems());
  entry.report(ErrorCode::kUnsupported, "quant_method",
               "is a scheme of quantization that is not implemented",
               "MLX's own key 'quantization'", json_excerpt(entry.string("quant_method", "none")),
               "take an MLX conversion of this model");
}

}  // namespace

void read_quantization(JsonObject& json, ModelConfig& config) {
  const nlohmann::json* quantization = json.object("quantization");
  if (!quantization) return refuse_foreign_scheme(json);

  const std::string name = json.name() + ": quantization";
  const QuantizationConfig global =
      read_entry(JsonObject(*quantization, name, json.problems()), std::nullopt);
  config.quantization = global;
  for (const auto& [key, value] : quantization->items()) {
    if (is_setting(key)) continue;
    const std::string entry_name = name + ": '" + key + "'";
    if (value.is_boolean())
      config.quantization_by_path[key] = value.get<bool>() ? std::optional(global) : std::nullopt;
    else if (value.is_object())
      config.quantization_by_path[key] =
          read_entry(JsonObject(value, entry_name, json.problems()), QuantizationConfig{});
    else
      json.problems().push_back({.code = ErrorCode::kMalformed,
                                 .where = entry_name,
                                 .problem = "has the wrong type",
                                 .expected = "an object, true or false",
                                 .found = json_excerpt(value)});
  }
}

}  // namespace bobby
