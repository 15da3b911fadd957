#include "hub/checkpoint_writer.h"

#include <fmt/format.h>

#include "base/safetensors_error.h"
#include "safetensors/sharded.h"

namespace bobby {

using safetensors::TensorInfo;

Result<CheckpointWriter> CheckpointWriter::create(const std::filesystem::path& folder,
                                                  const std::vector<TensorInfo>& tensors,
                                                  std::uint64_t shard_bytes) {
  CheckpointWriter writer;
  writer.folder_ = folder;
  std::vector<std::vector<TensorInfo>> shards(1);
  std::uint64_t filled = 0;
  for (const TensorInfo& tensor : tensors) {
    const auto bytes = safetensors::byte_count(tensor.dtype, tensor.shape);
    if (!bytes) return fail(to_error(bytes.error()));
    if (!shards.back().empty() && filled + *bytes > shard_bytes) {
      shards.emplace_back();
      filled = 0;
    }
    filled += *bytes;
    writer.total_bytes_ += *bytes;
    writer.file_of_[tensor.name] = shards.size() - 1;
    shards.back().push_back(tensor);
  }
  for (std::size_t i = 0; i < shards.size(); ++i) {
    writer.file_names_.push_back(
        shards.size() == 1 ? "model.safetensors"
                           : fmt::format("model-{:05}-of-{:05}.safetensors", i + 1, shards.size()));
    auto file = safetensors::Writer::create(folder / writer.file_names_.back(),
                                            std::move(shards[i]), {{"format", "mlx"}});
    if (!file) return fail(to_error(std::move(file).error()));
    writer.files_.push_back(*std::move(file));
  }
  return writer;
}

Result<void> CheckpointWriter::append(std::string_view name, std::span<const std::byte> chunk) {
  const auto found = file_of_.find(name);
  if (found == file_of_.end())
    return fail({.code = ErrorCode::kInternal,
                 .where = std::string(name),
                 .problem = "is written but was not declared"});
  if (auto written = files_[found->second].append(name, chunk); !written)
    return fail(to_error(std::move(written).error()));
  return {};
}

Result<void> CheckpointWriter::finish() {
  for (safetensors::Writer& file : files_)
    if (auto finished = file.finish(); !finished)
      return fail(to_error(std::move(finished).error()));
  if (files_.size() == 1) return {};
  std::map<std::string, std::string> weight_map;
  for (const auto& [name, file] : file_of_) weight_map[name] = file_names_[file];
  if (auto written = safetensors::write_index(folder_ / "model.safetensors.index.json", weight_map,
                                              total_bytes_);
      !written)
    return fail(to_error(std::move(written).error()));
  return {};
}

}  // namespace bobby
