#include "backends/cpu/attention.h"

#include <algorithm>
#include <cassert>
#include <cstddef>

#include "backends/cpu/kv.h"

namespace bobby::cpu {
namespace {

// Query heads that share one pass over the keys and values: enough to pay for widening them to
// fp32, few enough that what they hold stays in the nearer caches.
constexpr std::int64_t kTileQueries = 32;

// Tiles x KV heads a thread: with fewer, the last ones to finish would be waited for.
constexpr std::int64_t kItemsPerThread = 4;

constexpr std::int64_t kCacheLine = 64 / sizeof(float);

}  // namespace

/// Lists the tiles of all sequences, as KV head 0 has them.
void AttentionEngine::plan_tiles(const Attention& args) {
  const auto& kv = static_cast<const PagedKv&>(*args.kv);
  const KvShape& shape = kv.shape();
  assert(args.q.cols == args.out.cols);
  assert(args.q.cols % (shape.num_key_value_heads * shape.head_dim) == 0);
  const std::int64_t group = args.q.cols / (shape.num_key_value_heads * shape.head_dim);
  const std::int64_t tile_rows = std::max<std::int64_t>(kTileQueries / group, 1);
  tiles_.clear();
  for (const SequenceRows& sequence : args.sequences) {
    assert(static_cast<std::int64_t>(sequence.blocks.size()) * shape.block_tokens >=
           sequence.position + sequence.row_count);
    for (std::int64_t first = 0; first < sequence.row_count; first += tile_rows) {
      const std::int64_t begin = (sequence.row_begin + first) * args.q.cols;
      tiles_.push_back({.q = args.q.data + begin,
                        .out = args.out.data + begin,
                        .row_stride = args.q.cols,
                        .rows = std::min(tile_rows, sequence.row_count - first),
                        .group = group,
                        .head_dim = shape.head_dim,
                        .length = sequence.position + first + 1,
                        .scale = args.scale,
                        .keys = nullptr,  // these and the scratch belong to a head and a thread
                        .values = nullptr,
                        .format = shape.format,
                        .head_block_bytes = static_cast<std::int64_t>(shape.head_block_bytes()),
                        .block_stride = kv.block_stride(),
                        .block_tokens = shape.block_tokens,
                        .blocks = sequence.blocks.data(),
                        .scratch = nullptr});
    }
  }
}

/// Whole tiles, or the chunks of each when whole ones would leave threads without work.
void AttentionEngine::plan_items(std::int64_t kv_heads) {
  const auto tiles = static_cast<std::int64_t>(tiles_.size());
  const bool split = pool_.threads() > 1 && tiles * kv_heads < kItemsPerThread * pool_.threads();
  items_.clear();
  partials_needed_ = 0;
  for (std::size_t i = 0; i < tiles_.size(); ++i) {
    Item item{.tile = i, .chunks = split ? chunks_of(tiles_[i]) : 1, .partial = partials_needed_};
    if (item.chunks > 1) item.partial_floats = item.chunks * partial_floats(tiles_[i]);
    partials_needed_ += kv_heads * item.partial_floats;
    for (; item.chunk < item.chunks; ++item.chunk) items_.push_back(item);
  }
}

void AttentionEngine::reserve(std::int64_t kv_heads) {
  std::int64_t floats = 0;
  for (const AttendTile& tile : tiles_) floats = std::max(floats, attend_scratch(tile));
  // Threads must not share a cache line, wherever the vector begins.
  floats = (floats / kCacheLine + 2) * kCacheLine;
  if (floats > thread_scratch_) {
    thread_scratch_ = floats;
    scratch_.resize(static_cast<std::size_t>(floats * pool_.threads()));
  }
  if (partials_needed_ == 0) return;
  if (static_cast<std::size_t>(partials_needed_) > partials_.size())
    partials_.resize(static_cast<std::size_t>(partials_needed_));
  const std::size_t counters = tiles_.size() * static_cast<std::size_t>(kv_heads);
  if (counters > chunks_done_.size())
    chunks_done_ = std::vector<std::atomic<std::int64_t>>(counters);
  for (std::size_t i = 0; i < counters; ++i) chunks_done_[i].store(0, std::memory_order_relaxed);
}

AttendTile AttentionEngine::tile_of_head(const Attention& args, const Item& item,
                                         std::int64_t head) const {
  const auto& kv = static_cast<const PagedKv&>(*args.kv);
  AttendTile tile = tiles_[item.tile];
  tile.q += head * tile.group * tile.head_dim;
  tile.out += head * tile.group * tile.head_dim;
  tile.keys = kv.head(args.layer, PagedKv::kKeys, head);
  tile.values = kv.head(args.layer, PagedKv::kValues, head);
  return tile;
}

void AttentionEngine::run(const Attention& args, const Item& item, std::int64_t head, int thread) {
  AttendTile tile = tile_of_head(args, item, head);
  tile.scratch = scratch_.data() + thread * thread_scratch_;
  if (item.chunks == 1) return ops_.attend(tile);
  float* partials = partials_.data() + item.partial + head * item.partial_floats;
  ops_.attend_chunk(tile, item.chunk, partials + item.chunk * partial_floats(tile));
  // Whoever ends the tile's last chunk merges them all.
  const std::size_t counter =
      item.tile * static_cast<std::size_t>(args.kv->shape().num_key_value_heads) +
      static_cast<std::size_t>(head);
  if (chunks_done_[counter].fetch_add(1, std::memory_order_acq_rel) + 1 == item.chunks)
    ops_.attend_merge(tile, partials);
}

void AttentionEngine::attention(const Attention& args) {
  const std::int64_t kv_heads = args.kv->shape().num_key_value_heads;
  plan_tiles(args);
  plan_items(kv_heads);
  reserve(kv_heads);
  // Head by head, so that a thread's share of a cache is contiguous.
  const auto items = static_cast<std::int64_t>(items_.size());
  pool_.parallel_for(items * kv_heads, 1, [&](std::int64_t begin, std::int64_t end, int thread) {
    for (std::int64_t i = begin; i < end; ++i)
      run(args, items_[static_cast<std::size_t>(i % items)], i / items, thread);
  });
}

}  // namespace bobby::cpu
