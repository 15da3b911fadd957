#include "generation/kv_pool.h"

#include <algorithm>
#include <bit>
#include <limits>
#include <numeric>

namespace bobby::detail {

KvPool::KvPool(Model& model, const EngineOptions& options)
    : model_(model),
      options_(options),
      block_tokens_(model.kv_shape(1, options.kv_format).block_tokens),
      unit_(block_tokens_) {
  if (model.backend().bits_follow_chunks())
    unit_ = std::lcm(block_tokens_, std::max<std::int64_t>(options.prefill_chunk, 1));
}

std::int64_t KvPool::most_blocks() const {
  if (options_.kv_bytes == 0) return std::numeric_limits<std::int64_t>::max();
  const std::size_t block = model_.kv_shape(1, options_.kv_format).block_bytes();
  return std::max<std::int64_t>(static_cast<std::int64_t>(options_.kv_bytes / block), 1);
}

std::size_t KvPool::bytes() const {
  return storage_ ? storage_->shape().block_bytes() * static_cast<std::size_t>(blocks()) : 0;
}

std::uint64_t KvPool::saturated() const {
  return saturated_before_ + (storage_ ? storage_->saturated() : 0);
}

Result<void> KvPool::resize(std::int64_t blocks) {
  saturated_before_ = saturated();
  cache_.reset();
  blocks_.reset();
  storage_.reset();  // before the new one, so that both never exist at once
  BOBBY_TRY(storage_, model_.backend().allocate_kv(model_.kv_shape(blocks, options_.kv_format)));
  blocks_ = std::make_unique<KvBlocks>(blocks);
  if (options_.prefix_cache) cache_ = std::make_unique<PrefixCache>(*blocks_, block_tokens_);
  return {};
}

bool KvPool::has(std::int64_t count) const {
  if (!blocks_) return count == 0;
  const std::int64_t free = blocks_->free_blocks();
  return free >= count || (cache_ && free + cache_->evictable() >= count);
}

std::vector<std::int32_t> KvPool::acquire(std::int64_t count) {
  while (blocks_->free_blocks() < count && cache_ && cache_->evict_one()) {
  }
  return blocks_->acquire(count).value();
}

std::vector<std::int32_t> KvPool::find(const std::string& voice,
                                       std::span<const std::int32_t> prompt) {
  if (!cache_) return {};
  std::vector<std::int32_t> found = cache_->find(voice, prompt.first(prompt.size() - 1));
  const std::int64_t tokens = std::ssize(found) * block_tokens_ / unit_ * unit_;
  const auto whole = static_cast<std::size_t>(tokens / block_tokens_);
  blocks_->release(std::span(found).subspan(whole));
  found.resize(whole);
  return found;
}

void KvPool::keep_prompt(const std::string& voice, std::span<const std::int32_t> tokens,
                         std::span<const std::int32_t> blocks) {
  keep(voice, tokens, blocks, unit_);
}

void KvPool::keep_answer(const std::string& voice, std::span<const std::int32_t> tokens,
                         std::span<const std::int32_t> blocks) {
  // An answer was computed a token a step, and a prompt of the same tokens would not be.
  if (!model_.backend().bits_follow_chunks()) keep(voice, tokens, blocks, block_tokens_);
}

void KvPool::keep(const std::string& voice, std::span<const std::int32_t> tokens,
                  std::span<const std::int32_t> blocks, std::int64_t unit) {
  if (!cache_) return;
  const std::int64_t whole = std::ssize(tokens) / unit * unit;
  cache_->insert(voice, tokens.first(static_cast<std::size_t>(whole)),
                 blocks.first(static_cast<std::size_t>(whole / block_tokens_)));
}

std::string voice_key(std::span<const AdapterUse> adapters) {
  std::string key;
  for (const AdapterUse& use : adapters)
    if (use.factor != 0.0f)
      key += adapter_digest(*use.adapter) + "*" +
             std::to_string(std::bit_cast<std::uint32_t>(use.factor)) + " ";
  return key;
}

}  // namespace bobby::detail
