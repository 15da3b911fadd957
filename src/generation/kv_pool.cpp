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

Result<void> KvPool::save(const PrefixSink& sink) {
  std::vector<std::int32_t> blocks;
  PrefixList list = cache_ ? cache_->list(blocks) : PrefixList();
  list.block_bytes = model_.kv_shape(1, options_.kv_format).block_bytes();
  BOBBY_CHECK(sink.begin(list));
  std::vector<std::byte> bytes(list.block_bytes);
  for (const std::int32_t block : blocks) {
    BOBBY_CHECK(model_.backend().read_kv_block(*storage_, block, bytes));
    BOBBY_CHECK(sink.block(bytes));
  }
  return {};
}

Result<std::int64_t> KvPool::load(const PrefixSource& source) {
  BOBBY_CHECK(check(source.list));
  if (!options_.prefix_cache || source.list.blocks.empty()) return 0;
  const std::int64_t wanted = std::ssize(source.list.blocks);
  if (blocks() == 0) BOBBY_CHECK(resize(options_.kv_bytes > 0 ? most_blocks() : wanted));
  const std::int64_t count = std::min(wanted, blocks_->free_blocks());
  const std::vector<std::int32_t> taken = blocks_->acquire(count).value();
  Result<void> read;
  for (std::int64_t i = 0; read && i < count; ++i) {
    const auto index = static_cast<std::size_t>(i);
    const auto bytes = source.block(index);
    read = bytes ? model_.backend().write_kv_block(*storage_, taken[index], *bytes)
                 : fail(bytes.error());
  }
  if (read) take(source.list, taken);
  blocks_->release(taken);
  if (!read) return fail(std::move(read).error());
  return count;
}

Result<void> KvPool::check(const PrefixList& list) const {
  const auto bad = [](std::size_t index, std::string problem) {
    return fail({.code = ErrorCode::kMalformed,
                 .where = "block " + std::to_string(index),
                 .problem = std::move(problem)});
  };
  const std::int64_t vocab_size = model_.config().vocab_size;
  if (const std::size_t bytes = model_.kv_shape(1, options_.kv_format).block_bytes();
      list.block_bytes != bytes)
    return fail({.code = ErrorCode::kMalformed,
                 .where = "blocks",
                 .problem = "are of another size",
                 .expected = std::to_string(bytes) + " bytes",
                 .found = std::to_string(list.block_bytes)});
  for (std::size_t i = 0; i < list.blocks.size(); ++i) {
    const PrefixBlock& block = list.blocks[i];
    if (block.voice < 0 || block.voice >= std::ssize(list.voices))
      return bad(i, "is of a voice that is not listed");
    if (block.parent < -1 || block.parent >= static_cast<std::int64_t>(i))
      return bad(i, "does not stand behind the block before it");
    if (block.parent >= 0 &&
        list.blocks[static_cast<std::size_t>(block.parent)].voice != block.voice)
      return bad(i, "is of another voice than the block before it");
    if (std::ssize(block.tokens) != block_tokens_)
      return bad(i, "does not hold " + std::to_string(block_tokens_) + " tokens");
    for (const std::int32_t token : block.tokens)
      if (token < 0 || token >= vocab_size) return bad(i, "holds a token outside the vocabulary");
  }
  return {};
}

/// Puts the first blocks of `list`, which lie in `blocks`, into the cache.
void KvPool::take(const PrefixList& list, std::span<const std::int32_t> blocks) {
  std::vector<bool> is_leaf(blocks.size(), true);
  for (std::size_t i = 0; i < blocks.size(); ++i)
    if (const std::int32_t parent = list.blocks[i].parent; parent >= 0)
      is_leaf[static_cast<std::size_t>(parent)] = false;
  // The branch that was used last comes last, as it came when the cache was filled.
  for (std::size_t i = blocks.size(); i-- > 0;) {
    if (!is_leaf[i]) continue;
    std::vector<std::size_t> path;
    for (std::int32_t at = static_cast<std::int32_t>(i); at >= 0;
         at = list.blocks[static_cast<std::size_t>(at)].parent)
      path.push_back(static_cast<std::size_t>(at));
    std::vector<std::int32_t> tokens;
    std::vector<std::int32_t> held;
    for (auto next = path.rbegin(); next != path.rend(); ++next) {
      tokens.insert(tokens.end(), list.blocks[*next].tokens.begin(),
                    list.blocks[*next].tokens.end());
      held.push_back(blocks[*next]);
    }
    cache_->insert(list.voices[static_cast<std::size_t>(list.blocks[i].voice)], tokens, held);
  }
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
