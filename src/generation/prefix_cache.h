#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "generation/kv_blocks.h"
#include "generation/prefix_list.h"

namespace bobby::detail {

/// Full KV blocks of what earlier requests computed, found again by the tokens they hold and by
/// what computed them: a tree of blocks for each voice (voice_key()). Tokens are compared, not
/// hashed, so that no collision can give one prompt the keys and values of another.
///
/// The cache is one owner of each of its blocks; a block that has no other may be evicted.
class PrefixCache {
 public:
  /// `blocks` must outlive this.
  PrefixCache(KvBlocks& blocks, std::int64_t block_tokens);
  ~PrefixCache();

  /// The blocks of the longest beginning of `tokens` that is there, each with one owner more.
  std::vector<std::int32_t> find(const std::string& voice, std::span<const std::int32_t> tokens);
  /// Keeps `blocks`, which hold `tokens`, block_tokens in each. What is there already stays.
  void insert(const std::string& voice, std::span<const std::int32_t> tokens,
              std::span<const std::int32_t> blocks);
  /// Drops the least recently used block that nobody else owns. False when there is none.
  bool evict_one();
  /// Blocks that evict_one() could free by and by.
  std::int64_t evictable() const;
  std::int64_t size() const { return size_; }
  /// Everything there is, and in `blocks` the KV block of each.
  PrefixList list(std::vector<std::int32_t>& blocks) const;

 private:
  struct Node {
    Node* parent = nullptr;
    std::vector<std::int32_t> tokens;  // of this block
    std::int32_t block = -1;           // -1: the root of a voice
    std::uint64_t used = 0;
    std::map<std::vector<std::int32_t>, std::unique_ptr<Node>> children;
  };

  void touch(Node& node);
  void drop(Node& leaf);

  KvBlocks& blocks_;
  std::size_t block_tokens_;
  std::uint64_t clock_ = 0;
  std::int64_t size_ = 0;
  std::map<std::string, Node> voices_;
  std::set<std::pair<std::uint64_t, Node*>> leaves_;  // by their last use
};

}  // namespace bobby::detail
