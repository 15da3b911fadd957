#include "model/quantization_config.h"

#include <algorithm>

#include "tensor/formats/affine.h"

namespace bobby {

namespace {

/// "affine, mxfp4, ..."
std::string known_modes() {
  std::string names = "affine";
  for (const FloatMode& mode : float_modes()) names += ", " + std::string(mode.name);
  return names;
}

/// The mode that an entry names; unset after a problem.
std::optional<QuantizationMode> read_mode(JsonObject& entry) {
  const std::string name = entry.string("mode", "affine");
  if (name == "affine") return QuantizationMode::kAffine;
  const auto found = std::ranges::find(float_modes(), name, &FloatMode::name);
  if (found != float_modes().end()) return found->mode;
  entry.report(ErrorCode::kUnsupported, "mode", "names a quantization that is not implemented",
               "one of " + known_modes(), json_excerpt(name));
  return std::nullopt;
}

template <typename Values>
void check_affine(JsonObject& entry, std::string_view key, std::int64_t value, const Values& known,
                  std::string_view expected) {
  if (std::ranges::find(known, value) == std::ranges::end(known))
    entry.report(ErrorCode::kUnsupported, key, "is not implemented", std::string(expected),
                 std::to_string(value));
}

/// A floating point mode has one width and one group size.
void check_float(JsonObject& entry, std::string_view key, std::int64_t value, int only,
                 const FloatMode& mode) {
  if (value != only)
    entry.report(ErrorCode::kUnsupported, key, "does not go with mode " + std::string(mode.name),
                 std::to_string(only), std::to_string(value));
}

/// One entry. The global one must have both numbers; a module's takes MLX's own defaults of its
/// mode for what it leaves out (not the global entry's).
QuantizationConfig read_entry(JsonObject entry, bool global) {
  const std::size_t problems = entry.problems().size();
  const auto mode = read_mode(entry);
  if (!mode) return {};
  const FloatMode* floats = find_float_mode(*mode);
  const QuantizationConfig defaults =
      floats ? QuantizationConfig{floats->group_size, floats->bits} : QuantizationConfig{};
  const auto fallback = [&](int value) {
    return global ? std::nullopt : std::optional<std::int64_t>(value);
  };
  const auto group_size = entry.integer("group_size", 1, 1 << 20, fallback(defaults.group_size));
  const auto bits = entry.integer("bits", 1, 64, fallback(defaults.bits));
  if (entry.problems().size() != problems) return {};
  if (floats) {
    check_float(entry, "group_size", group_size, floats->group_size, *floats);
    check_float(entry, "bits", bits, floats->bits, *floats);
  } else {
    check_affine(entry, "group_size", group_size, kAffineGroupSizes, "32, 64 or 128");
    check_affine(entry, "bits", bits, kAffineBits, "2, 3, 4, 5, 6 or 8");
  }
  return {static_cast<int>(group_size), static_cast<int>(bits), *mode};
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
      read_entry(JsonObject(*quantization, name, json.problems()), true);
  config.quantization = global;
  for (const auto& [key, value] : quantization->items()) {
    if (is_setting(key)) continue;
    const std::string entry_name = name + ": '" + key + "'";
    if (value.is_boolean())
      config.quantization_by_path[key] = value.get<bool>() ? std::optional(global) : std::nullopt;
    else if (value.is_object())
      config.quantization_by_path[key] =
          read_entry(JsonObject(value, entry_name, json.problems()), false);
    else
      json.problems().push_back({.code = ErrorCode::kMalformed,
                                 .where = entry_name,
                                 .problem = "has the wrong type",
                                 .expected = "an object, true or false",
                                 .found = json_excerpt(value)});
  }
}

}  // namespace bobby
