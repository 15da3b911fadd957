#pragma once

#include <cstddef>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "safetensors/error.h"
#include "safetensors/reader.h"

namespace safetensors {

/// One set of tensors over one or several files: a checkpoint. All headers are read at open, no
/// tensor's data is; asking for one tensor touches no other. Move-only, const use is thread-safe.
class Checkpoint {
 public:
  /// `path` is a .safetensors file, an index (`model.safetensors.index.json`), or a folder. In a
  /// folder the index is taken if there is one, else every `model*.safetensors`, sorted by name.
  ///
  /// With an index, shards and index must agree: a tensor that its shard lacks, a tensor or shard
  /// that the index does not name, or a shard name with a folder in it is refused
  /// (kIndexMismatch). A tensor name in two files is refused (kDuplicateKey). All problems of all
  /// files are in one Error.
  static Result<Checkpoint> open(const std::filesystem::path& path,
                                 const OpenOptions& options = {});
  /// These files together, without an index.
  static Result<Checkpoint> open_files(std::span<const std::filesystem::path> paths,
                                       const OpenOptions& options = {});

  std::span<const File> files() const { return files_; }
  /// Every tensor, by name. Pointers live as long as the Checkpoint, also when it moves.
  std::span<const Tensor* const> tensors() const { return tensors_; }
  /// Null when there is none of that name. O(log n).
  const Tensor* find(std::string_view tensor_name) const;
  /// As find(), with kTensorNotFound. Never null.
  Result<const Tensor*> get(std::string_view tensor_name) const;
  /// The file that holds `tensor`, which must be one of tensors().
  const File& file_of(const Tensor& tensor) const;

  /// Bytes of all tensors.
  std::uint64_t byte_size() const;

 private:
  Checkpoint() = default;

  std::string name_;
  std::vector<File> files_;
  std::vector<const Tensor*> tensors_;

  friend class CheckpointBuilder;
};

/// Every problem of a file, an index with its shards, or a folder; empty when all is well.
std::vector<Error> check_checkpoint(const std::filesystem::path& path,
                                    const OpenOptions& options = {});

/// Writes an index: `weight_map` gives each tensor's file name, `total_size` the bytes of all
/// tensors. Replaces `path` by rename, as Writer does.
Result<void> write_index(const std::filesystem::path& path,
                         const std::map<std::string, std::string>& weight_map,
                         std::uint64_t total_size);

}  // namespace safetensors
