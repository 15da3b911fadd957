#include "training/checkpoint.h"

#include <cstring>
#include <fmt/format.h>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <utility>
#include <vector>

#include "base/safetensors_error.h"
#include "safetensors/reader.h"
#include "safetensors/writer.h"
#include "training/adapter_writer.h"
#include "training/durable_files.h"

namespace bobby {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

constexpr std::string_view kStateFile = "training_state.json";
constexpr std::string_view kOptimizerFile = "optimizer.safetensors";
constexpr std::string_view kStepKey = "step";
constexpr int kVersion = 1;

Json optional_number(const std::optional<double>& value) {
  return value ? Json(*value) : Json();
}

Json to_json(const TrainingState& state) {
  const BatchPosition& position = state.update_position;
  return {{"iteration", state.iteration},
          {"update_at", state.update_at},
          {"update_position",
           {{"epoch", position.epoch},
            {"next", position.next},
            {"order", position.order},
            {"random", position.random}}},
          {"tokens", state.tokens},
          {"pending_loss", state.pending_loss},
          {"pending_count", state.pending_count},
          {"pending_tokens", state.pending_tokens},
          {"start_val_loss", optional_number(state.start_val_loss)},
          {"best_val_loss", optional_number(state.best_val_loss)},
          {"best_iteration", state.best_iteration},
          {"patience_val_loss", optional_number(state.patience_val_loss)},
          {"worse_validations", state.worse_validations},
          {"validated_at", state.validated_at},
          {"finished", state.finished},
          {"metrics", state.metrics}};
}

Json to_json(const RunIdentity& identity) {
  return {{"data_sha256", identity.data_sha256},
          {"base_digest", identity.base_digest},
          {"config_yaml", identity.config_yaml},
          {"overrides", identity.overrides}};
}

std::optional<double> optional_number(const Json& json) {
  if (json.is_null()) return std::nullopt;
  return json.get<double>();
}

// These two throw what the JSON library throws; parse_state() turns it into an Error.
TrainingState state_from(const Json& json) {
  const Json& position = json.at("update_position");
  TrainingState state;
  state.iteration = json.at("iteration").get<std::int64_t>();
  state.update_at = json.at("update_at").get<std::int64_t>();
  state.update_position = {position.at("epoch").get<std::int64_t>(),
                           position.at("next").get<std::int64_t>(),
                           position.at("order").get<std::vector<std::int64_t>>(),
                           position.at("random").get<std::vector<std::uint32_t>>()};
  state.tokens = json.at("tokens").get<std::int64_t>();
  state.pending_loss = json.at("pending_loss").get<double>();
  state.pending_count = json.at("pending_count").get<double>();
  state.pending_tokens = json.at("pending_tokens").get<std::int64_t>();
  state.start_val_loss = optional_number(json.at("start_val_loss"));
  state.best_val_loss = optional_number(json.at("best_val_loss"));
  state.best_iteration = json.at("best_iteration").get<std::int64_t>();
  state.patience_val_loss = optional_number(json.at("patience_val_loss"));
  state.worse_validations = json.at("worse_validations").get<std::int64_t>();
  state.validated_at = json.at("validated_at").get<std::int64_t>();
  state.finished = json.at("finished").get<bool>();
  state.metrics = json.at("metrics").get<MetricsPosition>();
  return state;
}

RunIdentity identity_from(const Json& json) {
  return {json.at("data_sha256").get<std::string>(), json.at("base_digest").get<std::string>(),
          json.at("config_yaml").get<std::string>(), json.at("overrides").get<std::string>()};
}

Result<void> parse_state(const fs::path& file, Checkpoint& checkpoint) {
  std::ifstream stream(file, std::ios::binary);
  const std::string text((std::istreambuf_iterator<char>(stream)), {});
  if (!stream)
    return fail({.code = ErrorCode::kIo, .where = file.string(), .problem = "cannot be read"});
  try {
    const Json json = Json::parse(text);
    const int version = json.at("version").get<int>();
    if (version != kVersion)
      return fail({.code = ErrorCode::kUnsupported,
                   .where = file.string(),
                   .problem = "is of another version of this program",
                   .expected = fmt::format("version {}", kVersion),
                   .found = fmt::format("{}", version)});
    checkpoint.state = state_from(json.at("state"));
    checkpoint.identity = identity_from(json.at("run"));
  } catch (const nlohmann::json::exception& error) {
    return fail({.code = ErrorCode::kMalformed,
                 .where = file.string(),
                 .problem = fmt::format("is not a checkpoint's state ({})", error.what())});
  }
  return {};
}

Result<void> write_optimizer(const fs::path& file, const OptimizerState& state) {
  std::vector<safetensors::TensorData> tensors;
  for (const StateTensor& tensor : state.tensors)
    tensors.push_back({{tensor.name, safetensors::DType::kF32, {tensor.values.size()}},
                       std::as_bytes(std::span(tensor.values))});
  const safetensors::Metadata metadata = {{std::string(kStepKey), std::to_string(state.step)}};
  if (auto written = safetensors::write_file(file, tensors, metadata); !written)
    return fail(to_error(std::move(written).error()));
  return {};
}

Result<OptimizerState> read_optimizer(const fs::path& file) {
  auto opened = safetensors::File::open(file);
  if (!opened) return fail(to_error(std::move(opened).error()));
  OptimizerState state;
  const auto step = opened->metadata().find(kStepKey);
  if (step == opened->metadata().end() ||
      step->second.find_first_not_of("0123456789") != std::string::npos || step->second.empty() ||
      step->second.size() > 18)
    return fail({.code = ErrorCode::kMalformed,
                 .where = file.string(),
                 .problem = "does not say how many steps it has made"});
  state.step = std::stoull(step->second);
  for (const safetensors::Tensor& tensor : opened->tensors()) {
    if (tensor.dtype != safetensors::DType::kF32)
      return fail({.code = ErrorCode::kMalformed,
                   .where = fmt::format("{}: tensor '{}'", file.string(), tensor.name),
                   .problem = "is not fp32"});
    StateTensor& read =
        state.tensors.emplace_back(StateTensor{tensor.name, std::vector<float>(tensor.size())});
    std::memcpy(read.values.data(), tensor.data.data(), tensor.data.size());
  }
  std::ranges::sort(state.tensors, {}, &StateTensor::name);
  return state;
}

Result<void> write_files(const FolderReplacement& folder, std::span<const TrainableTensor> tensors,
                         const AdapterTexts& texts) {
  BOBBY_CHECK(write_adapter_tensors(folder.path() / kAdapterFile, tensors));
  BOBBY_CHECK(folder.write(kAdapterConfigFile, texts.adapter_config));
  return folder.write(kVoiceFile, texts.voice);
}

bool is_checkpoint(const fs::path& folder) {
  std::error_code error;
  return fs::is_regular_file(folder / kStateFile, error);
}

}  // namespace

Result<void> write_adapter_folder(const fs::path& folder, std::span<const TrainableTensor> tensors,
                                  const AdapterTexts& texts) {
  BOBBY_TRY(FolderReplacement replacement, FolderReplacement::begin(folder));
  BOBBY_CHECK(write_files(replacement, tensors, texts));
  return replacement.commit();
}

Result<void> write_checkpoint(const fs::path& folder, const CheckpointParts& parts) {
  BOBBY_TRY(FolderReplacement replacement, FolderReplacement::begin(folder));
  BOBBY_CHECK(write_files(replacement, parts.tensors, parts.texts));
  BOBBY_CHECK(write_optimizer(replacement.path() / kOptimizerFile, parts.optimizer));
  const Json json = {
      {"version", kVersion}, {"state", to_json(parts.state)}, {"run", to_json(parts.identity)}};
  BOBBY_CHECK(replacement.write(kStateFile,
                                json.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n"));
  return replacement.commit();
}

Result<Checkpoint> read_checkpoint(const fs::path& folder) {
  Checkpoint checkpoint;
  BOBBY_CHECK(recover_folder(folder / kLastFolder));
  checkpoint.folder = is_checkpoint(folder / kLastFolder) ? folder / kLastFolder : folder;
  if (!is_checkpoint(checkpoint.folder))
    return fail({.code = ErrorCode::kNotFound,
                 .where = folder.string(),
                 .problem = "holds no checkpoint to resume from",
                 .hint = "name the adapter_path of a run that was saved, or its folder 'last'"});
  BOBBY_CHECK(parse_state(checkpoint.folder / kStateFile, checkpoint));
  BOBBY_TRY(checkpoint.optimizer, read_optimizer(checkpoint.folder / kOptimizerFile));
  return checkpoint;
}

}  // namespace bobby
