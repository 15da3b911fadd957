#include <cmath>
#include <span>

#include "base/output_folder.h"
#include "base/safetensors_error.h"
#include "hub/checkpoint_layout.h"
#include "hub/random_numbers.h"
#include "hub/synth_config.h"
#include "hub/synth_model.h"
#include "safetensors/writer.h"

namespace bobby {
namespace {

/// One tensor of the adapter, its values uniform within ±reach.
struct Part {
  std::string name;
  std::uint64_t rows;
  std::uint64_t cols;
  float reach;
};

/// The layer that a module path names, -1 for the embedding and the head.
std::int64_t layer_of(const std::string& path) {
  constexpr std::string_view kLayers = "model.layers.";
  return path.starts_with(kLayers) ? std::stoll(path.substr(kLayers.size())) : -1;
}

std::vector<Part> parts(const ModelConfig& config, const SynthAdapterOptions& options) {
  const std::int64_t layers = config.num_hidden_layers;
  const bool all = options.num_layers <= 0 || options.num_layers >= layers;
  const std::int64_t first = all ? 0 : layers - options.num_layers;
  const auto rank = static_cast<std::uint64_t>(options.rank);
  std::vector<Part> made;
  for (const ModelTensor& tensor : model_tensors(config)) {
    if (tensor.kind != ModelTensor::Kind::kLinear || layer_of(tensor.path) < first) continue;
    const auto in = static_cast<std::uint64_t>(tensor.cols);
    made.push_back({tensor.path + ".lora_a", in, rank, 1.0f / std::sqrt(static_cast<float>(in))});
    made.push_back(
        {tensor.path + ".lora_b", rank, static_cast<std::uint64_t>(tensor.rows), 0.005f});
  }
  return made;
}

Result<void> write_parts(const std::filesystem::path& path, const std::vector<Part>& parts,
                         std::uint64_t seed) {
  std::vector<safetensors::TensorInfo> infos;
  for (const Part& part : parts)
    infos.push_back({part.name, safetensors::DType::kF32, {part.rows, part.cols}});
  auto writer = safetensors::Writer::create(path, std::move(infos), {{"format", "mlx"}});
  if (!writer) return fail(to_error(std::move(writer).error()));
  std::vector<float> values;
  for (const Part& part : parts) {
    values.resize(part.rows * part.cols);
    RandomNumbers(seed, part.name).uniform(0, -part.reach, part.reach, values);
    if (auto written = writer->append(part.name, std::as_bytes(std::span(values))); !written)
      return fail(to_error(std::move(written).error()));
  }
  if (auto finished = writer->finish(); !finished)
    return fail(to_error(std::move(finished).error()));
  return {};
}

}  // namespace

Result<SynthModel> synth_adapter(const SynthAdapterOptions& options) {
  constexpr std::int64_t kLargestRank = 1024;
  if (options.rank < 1 || options.rank > kLargestRank)
    return fail({.code = ErrorCode::kUsage,
                 .where = "rank",
                 .problem = "is out of range",
                 .expected = "1 to " + std::to_string(kLargestRank),
                 .found = std::to_string(options.rank)});
  BOBBY_TRY(const SynthConfig base, synth_config(options.arch, 4, 64));
  const std::vector<Part> made = parts(base.config, options);
  BOBBY_TRY(OutputFolder output, OutputFolder::create(options.folder));
  BOBBY_CHECK(write_parts(output.path() / "adapters.safetensors", made, options.seed));
  const nlohmann::json config = {
      {"fine_tune_type", "lora"},
      {"num_layers", options.num_layers},
      {"lora_parameters", {{"rank", options.rank}, {"scale", options.scale}, {"dropout", 0.0}}}};
  BOBBY_CHECK(output.write_text("adapter_config.json", config.dump(4) + "\n"));
  BOBBY_CHECK(output.commit());
  SynthModel result{.tensors = static_cast<std::int64_t>(made.size())};
  for (const Part& part : made) result.bytes += part.rows * part.cols * sizeof(float);
  return result;
}

}  // namespace bobby
