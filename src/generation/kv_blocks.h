#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/result.h"

namespace bobby {

/// Who owns which block of a KV pool. A block has as many owners as acquire() and share() made,
/// and is free again when each has released it. Sequences may share blocks that are full: a block
/// in use by several is never written.
class KvBlocks {
 public:
  /// `blocks`: size of the pool; block numbers are 0 .. blocks - 1.
  explicit KvBlocks(std::int64_t blocks);

  /// `count` free blocks with one owner each, lowest numbers first. kLimit, and nothing taken, when
  /// there are not that many.
  Result<std::vector<std::int32_t>> acquire(std::int64_t count);
  /// One more owner for each.
  void share(std::span<const std::int32_t> blocks);
  /// One owner fewer for each.
  void release(std::span<const std::int32_t> blocks);

  std::int64_t free_blocks() const { return static_cast<std::int64_t>(free_.size()); }
  std::int64_t owners(std::int32_t block) const { return owners_[static_cast<std::size_t>(block)]; }

 private:
  std::vector<std::int32_t> owners_;  // by block
  std::vector<std::int32_t> free_;    // descending, so that the lowest is taken from the end
};

}  // namespace bobby
