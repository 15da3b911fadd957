#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "backends/backend.h"
#include "base/result.h"
#include "generation/engine_options.h"
#include "generation/kv_blocks.h"
#include "generation/prefix_cache.h"
#include "generation/prefix_list.h"
#include "model/model.h"

namespace bobby::detail {

/// An engine's KV memory: the storage, who owns which of its blocks, and the cache that keeps
/// blocks for later requests until somebody needs them.
class KvPool {
 public:
  /// `model` must outlive this.
  KvPool(Model& model, const EngineOptions& options);

  std::int64_t block_tokens() const { return block_tokens_; }
  /// Blocks that the pool may have: options.kv_bytes, or any number when that is 0.
  std::int64_t most_blocks() const;
  /// Blocks that it has.
  std::int64_t blocks() const { return storage_ ? storage_->shape().blocks : 0; }
  std::int64_t blocks_in_use() const { return blocks() - (blocks_ ? blocks_->free_blocks() : 0); }
  std::int64_t blocks_cached() const { return cache_ ? cache_->size() : 0; }
  std::size_t bytes() const;
  /// Waits for the device.
  std::uint64_t saturated() const;
  KvStorage& storage() { return *storage_; }

  /// A pool of `blocks` in the place of the one there is, of which nothing may be in use. What was
  /// cached is lost.
  Result<void> resize(std::int64_t blocks);
  /// Whether `count` blocks are free, or would be if the cache let go of some.
  bool has(std::int64_t count) const;
  /// Precondition: has(count).
  std::vector<std::int32_t> acquire(std::int64_t count);
  void share(std::span<const std::int32_t> blocks) { blocks_->share(blocks); }
  void release(std::span<const std::int32_t> blocks) { blocks_->release(blocks); }

  /// Blocks of a cached beginning of `prompt`, which leaves a token to compute; each has one owner
  /// more. None without options.prefix_cache.
  std::vector<std::int32_t> find(const std::string& voice, std::span<const std::int32_t> prompt);
  /// Keeps the blocks of a prompt, or of a prompt and its answer, as far as they can be reused.
  void keep_prompt(const std::string& voice, std::span<const std::int32_t> tokens,
                   std::span<const std::int32_t> blocks);
  void keep_answer(const std::string& voice, std::span<const std::int32_t> tokens,
                   std::span<const std::int32_t> blocks);

  /// Tells `sink` what is cached, and the bytes of it.
  Result<void> save(const PrefixSink& sink);
  /// Takes into the cache what was saved, as much of the list's beginning as there is room for, and
  /// returns how many blocks that are. kMalformed: a list that no cache can have written.
  Result<std::int64_t> load(const PrefixSource& source);

 private:
  Result<void> check(const PrefixList& list) const;
  void take(const PrefixList& list, std::span<const std::int32_t> blocks);
  void keep(const std::string& voice, std::span<const std::int32_t> tokens,
            std::span<const std::int32_t> blocks, std::int64_t unit);

  Model& model_;
  EngineOptions options_;
  std::int64_t block_tokens_;
  /// Tokens that are reused together. Where a prompt's bits follow from how it is cut, only whole
  /// chunks that every prompt is cut into alike.
  std::int64_t unit_;
  std::uint64_t saturated_before_ = 0;  // by storages that are gone
  std::unique_ptr<KvStorage> storage_;
  std::unique_ptr<KvBlocks> blocks_;
  std::unique_ptr<PrefixCache> cache_;
};

/// What keys and values depend on beside tokens and base: the adapters' contents and scales.
/// Adapters at scale 0 do nothing and are left out.
std::string voice_key(std::span<const AdapterUse> adapters);

}  // namespace bobby::detail
