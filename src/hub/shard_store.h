#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/progress.h"
#include "base/result.h"
#include "base/sha256.h"
#include "hub/checkpoint_writer.h"
#include "hub/resumable_folder.h"
#include "safetensors/writer.h"

namespace bobby {

/// The files of weights in a ResumableFolder, written one after the other. Each that is finished
/// has a note with the digest of every tensor, and what the caller wants to know of it later.
class ShardStore {
 public:
  /// Both must outlive the store.
  ShardStore(ResumableFolder& folder, const std::vector<Shard>& shards);

  /// Looks at what an earlier run left: keeps the shards from the first on that are whole (every
  /// tensor has its digest), removes all else. kIo; `progress` as ever.
  Result<void> take_up(const ProgressFn& progress);

  /// Shards that are finished: the first so many.
  std::size_t finished() const { return notes_.size(); }
  /// What was noted of a finished shard.
  const nlohmann::json& note_of(std::size_t shard) const { return notes_[shard]; }

  /// Appends to a tensor of shard number finished(). Errors as of safetensors::Writer.
  Result<void> append(std::string_view tensor, std::span<const std::byte> bytes);
  /// The shard that was written is whole: on the disk, under its name, with its note.
  Result<void> finish_shard(nlohmann::json note);

 private:
  std::filesystem::path note_path(std::size_t shard) const;
  bool is_whole(std::size_t shard, const nlohmann::json& digests, const ProgressFn& progress);
  Result<void> remove_others() const;
  Result<void> begin_shard();

  ResumableFolder& folder_;
  const std::vector<Shard>& shards_;
  std::vector<nlohmann::json> notes_;
  std::optional<safetensors::Writer> writer_;
  std::map<std::string, Sha256, std::less<>> digests_;
  std::uint64_t checked_ = 0;  // bytes, for the progress of take_up()
};

}  // namespace bobby
