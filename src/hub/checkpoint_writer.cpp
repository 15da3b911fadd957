#include "hub/checkpoint_writer.h"

#include <fmt/format.h>

#include "base/safetensors_error.h"
#include "safetensors/sharded.h"

namespace bobby {

using safetensors::TensorInfo;

Result<std::vector<Shard>> plan_shards(const std::vector<std::vector<TensorInfo>>& together,
                                       std::uint64_t shard_bytes) {
  std::vector<Shard> shards(1);
  for (const std::vector<TensorInfo>& tensors : together) {
    std::uint64_t bytes = 0;
    for (const TensorInfo& tensor : tensors) {
      const auto one = safetensors::byte_count(tensor.dtype, tensor.shape);
      if (!one) return fail(to_error(one.error()));
      bytes += *one;
    }
    if (!shards.back().tensors.empty() && shards.back().bytes + bytes > shard_bytes)
      shards.emplace_back();
    shards.back().bytes += bytes;
    shards.back().tensors.insert(shards.back().tensors.end(), tensors.begin(), tensors.end());
  }
  for (std::size_t i = 0; i < shards.size(); ++i)
    shards[i].file_name =
        shards.size() == 1 ? "model.safetensors"
                           : fmt::format("model-{:05}-of-{:05}.safetensors", i + 1, shards.size());
  return shards;
}

Result<void> write_shard_index(const std::filesystem::path& folder,
                               const std::vector<Shard>& shards) {
  if (shards.size() == 1) return {};
  std::map<std::string, std::string> weight_map;
  std::uint64_t total = 0;
  for (const Shard& shard : shards) {
    total += shard.bytes;
    for (const TensorInfo& tensor : shard.tensors) weight_map[tensor.name] = shard.file_name;
  }
  if (auto written =
          safetensors::write_index(folder / "model.safetensors.index.json", weight_map, total);
      !written)
    return fail(to_error(std::move(written).error()));
  return {};
}

Result<CheckpointWriter> CheckpointWriter::create(const std::filesystem::path& folder,
                                                  const std::vector<TensorInfo>& tensors,
                                                  std::uint64_t shard_bytes) {
  CheckpointWriter writer;
  writer.folder_ = folder;
  std::vector<std::vector<TensorInfo>> alone;
  for (const TensorInfo& tensor : tensors) alone.push_back({tensor});
  BOBBY_TRY(writer.shards_, plan_shards(alone, shard_bytes));
  for (const Shard& shard : writer.shards_) {
    for (const TensorInfo& tensor : shard.tensors)
      writer.file_of_[tensor.name] = writer.files_.size();
    writer.total_bytes_ += shard.bytes;
    auto file =
        safetensors::Writer::create(folder / shard.file_name, shard.tensors, {{"format", "mlx"}});
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
  return write_shard_index(folder_, shards_);
}

}  // namespace bobby
