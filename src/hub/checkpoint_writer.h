#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "safetensors/writer.h"

namespace bobby {

/// One file of a checkpoint.
struct Shard {
  std::string file_name;  ///< model.safetensors, or model-00001-of-00002.safetensors
  std::vector<safetensors::TensorInfo> tensors;
  std::uint64_t bytes = 0;
};

/// Shares tensors out among files of at most `shard_bytes`, filled in the order given, with what
/// stands in one list together; a list that is larger has a file of its own. At least one file.
/// Errors as of safetensors::byte_count().
Result<std::vector<Shard>> plan_shards(
    const std::vector<std::vector<safetensors::TensorInfo>>& together, std::uint64_t shard_bytes);

/// Writes model.safetensors.index.json for these files; a single file needs none. kIo.
Result<void> write_shard_index(const std::filesystem::path& folder,
                               const std::vector<Shard>& shards);

/// Writes the tensors of a model folder, streaming: one model.safetensors, or shards with
/// model.safetensors.index.json when they are larger together than a shard may be.
class CheckpointWriter {
 public:
  static constexpr std::uint64_t kShardBytes = std::uint64_t{5} << 30;

  /// Shards are filled with `tensors` in the order given; one that is larger than a shard has its
  /// own. Errors as of safetensors::Writer.
  static Result<CheckpointWriter> create(const std::filesystem::path& folder,
                                         const std::vector<safetensors::TensorInfo>& tensors,
                                         std::uint64_t shard_bytes = kShardBytes);

  /// Appends to tensor `name`; tensors in any order and by turns.
  Result<void> append(std::string_view name, std::span<const std::byte> chunk);

  /// Syncs every file and writes the index. Call once, last.
  Result<void> finish();

  /// Bytes of all tensors.
  std::uint64_t total_bytes() const { return total_bytes_; }

 private:
  CheckpointWriter() = default;

  std::filesystem::path folder_;
  std::vector<Shard> shards_;
  std::vector<safetensors::Writer> files_;
  std::map<std::string, std::size_t, std::less<>> file_of_;  // tensor name → index into files_
  std::uint64_t total_bytes_ = 0;
};

}  // namespace bobby
