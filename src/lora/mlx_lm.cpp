// Adapters of mlx-lm: PATH.lora_a [in_features, rank], PATH.lora_b [rank, out_features], for DoRA
// PATH.m [out_features]; `scale` multiplies B(Ax) as it stands. Source:
// mlx_lm/tuner/{utils,lora}.py

#include <limits>

#include "lora/adapter_reader.h"

namespace bobby {

namespace {

constexpr TensorLayout kLayout = {.a_is_transposed = true,
                                  .b_is_transposed = true,
                                  .a = "lora_a",
                                  .b = "lora_b",
                                  .magnitude = "m"};
constexpr std::int64_t kLargest = std::numeric_limits<std::int32_t>::max();

/// Returns the rank. `lora_parameters` holds it with the scale and the keys.
std::int64_t read_parameters(JsonObject& config, Adapter& adapter) {
  const nlohmann::json* value = config.object("lora_parameters");
  if (!value) {
    if (!config.contains("lora_parameters"))
      config.report(ErrorCode::kMalformed, "lora_parameters", "is missing",
                    "an object with rank and scale");
    return 1;
  }
  JsonObject parameters(*value, config.name() + ": lora_parameters", config.problems());
  const std::int64_t rank = parameters.integer("rank", 1, kLargest);
  if (parameters.contains("scale"))
    adapter.scale = static_cast<float>(parameters.number("scale"));
  else
    parameters.report(ErrorCode::kMalformed, "scale", "is missing", "a number", {},
                      parameters.contains("alpha")
                          ? "'alpha' is another thing: write 'scale', which is alpha / rank"
                          : "write the scale that the adapter was trained with");
  adapter.keys = parameters.strings("keys");
  if (adapter.keys.empty() && parameters.contains("keys"))
    parameters.report(ErrorCode::kMalformed, "keys", "names no module", {}, {},
                      "leave it out to mean every linear layer");
  return rank;
}

}  // namespace

void read_mlx_adapter(JsonObject& config, AdapterReader& reader, Adapter& adapter) {
  adapter.source = Adapter::Source::kMlx;
  const std::string type = config.string("fine_tune_type", "lora");
  adapter.dora = type == "dora";
  if (type != "lora" && type != "dora")
    config.report(ErrorCode::kUnsupported, "fine_tune_type", "is not an adapter's",
                  "\"lora\" or \"dora\"", json_excerpt(type),
                  type == "full" ? "a full fine-tune is a model of its own" : "");
  adapter.num_layers = config.integer("num_layers", -kLargest, kLargest);
  adapter.base_name = config.text_or_empty("model");
  const std::int64_t rank = read_parameters(config, adapter);
  if (!config.problems().empty()) return;

  for (const safetensors::Tensor& tensor : reader.file().tensors()) {
    const std::size_t dot = tensor.name.rfind('.');
    const std::string path = tensor.name.substr(0, dot == std::string::npos ? 0 : dot);
    const std::string leaf = dot == std::string::npos ? tensor.name : tensor.name.substr(dot + 1);
    if (!path.empty() && leaf == kLayout.a)
      reader.tensors_of(path).a = &tensor;
    else if (!path.empty() && leaf == kLayout.b)
      reader.tensors_of(path).b = &tensor;
    else if (!path.empty() && leaf == kLayout.magnitude)
      reader.tensors_of(path).magnitude = &tensor;
    else
      reader.unknown_tensor(tensor);
  }
  for (const auto& [path, tensors] : reader.modules())
    reader.read(path, kLayout, rank, adapter.scale, adapter);
}

}  // namespace bobby
