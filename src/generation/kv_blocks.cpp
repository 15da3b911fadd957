#include "generation/kv_blocks.h"

#include <algorithm>
#include <cassert>
#include <string>

namespace bobby {

KvBlocks::KvBlocks(std::int64_t blocks) : owners_(static_cast<std::size_t>(blocks), 0) {
  for (std::int64_t block = blocks - 1; block >= 0; --block)
    free_.push_back(static_cast<std::int32_t>(block));
}

Result<std::vector<std::int32_t>> KvBlocks::acquire(std::int64_t count) {
  if (count > free_blocks())
    return fail({.code = ErrorCode::kLimit,
                 .where = "KV cache",
                 .problem = "has too few free blocks",
                 .expected = std::to_string(count),
                 .found = std::to_string(free_blocks()) + " of " + std::to_string(owners_.size())});
  const auto taken = free_.end() - count;
  std::vector<std::int32_t> blocks(std::make_reverse_iterator(free_.end()),
                                   std::make_reverse_iterator(taken));
  free_.erase(taken, free_.end());
  for (const std::int32_t block : blocks) owners_[static_cast<std::size_t>(block)] = 1;
  return blocks;
}

void KvBlocks::share(std::span<const std::int32_t> blocks) {
  for (const std::int32_t block : blocks) {
    assert(owners(block) > 0);
    ++owners_[static_cast<std::size_t>(block)];
  }
}

void KvBlocks::release(std::span<const std::int32_t> blocks) {
  for (const std::int32_t block : blocks) {
    assert(owners(block) > 0);
    if (--owners_[static_cast<std::size_t>(block)] > 0) continue;
    const auto place = std::upper_bound(free_.begin(), free_.end(), block, std::greater<>());
    free_.insert(place, block);
  }
}

}  // namespace bobby
