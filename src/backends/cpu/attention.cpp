#include "backends/cpu/attention.h"

#include <algorithm>
#include <cassert>
#include <cstddef>

#include "backends/cpu/kv.h"

namespace bobby::cpu {
namespace {

// Query heads that share one pass over the keys and values: enough to pay for widening them to
// fp32, few enough that their sums stay in the first-level cache.
constexpr std::int64_t kTileQueries = 16;

constexpr std::int64_t kCacheLine = 64 / sizeof(float);

}  // namespace

/// Lists the tiles of all sequences, as KV head 0 has them.
void AttentionEngine::plan(const Attention& args, std::int64_t group) {
  const auto& kv = static_cast<const PagedKv&>(*args.kv);
  const std::int64_t tile_rows = std::max<std::int64_t>(kTileQueries / group, 1);
  tiles_.clear();
  for (const SequenceRows& sequence : args.sequences) {
    assert(static_cast<std::int64_t>(sequence.blocks.size()) * kv.shape().block_tokens >=
           sequence.position + sequence.row_count);
    for (std::int64_t first = 0; first < sequence.row_count; first += tile_rows) {
      const std::int64_t begin = (sequence.row_begin + first) * args.q.cols;
      tiles_.push_back({.q = args.q.data + begin,
                        .out = args.out.data + begin,
                        .row_stride = args.q.cols,
                        .rows = std::min(tile_rows, sequence.row_count - first),
                        .group = group,
                        .head_dim = kv.shape().head_dim,
                        .length = sequence.position + first + 1,
                        .scale = args.scale,
                        .keys = nullptr,  // these and the scratch belong to a head and a thread
                        .values = nullptr,
                        .half = kv.half(),
                        .block_stride = kv.block_stride(),
                        .block_tokens = kv.shape().block_tokens,
                        .blocks = sequence.blocks.data(),
                        .scratch = nullptr});
    }
  }
}

void AttentionEngine::reserve_scratch() {
  std::int64_t floats = 0;
  for (const AttendTile& tile : tiles_) floats = std::max(floats, attend_scratch(tile));
  // Threads must not share a cache line, wherever the vector begins.
  floats = (floats / kCacheLine + 2) * kCacheLine;
  if (floats <= thread_scratch_) return;
  thread_scratch_ = floats;
  scratch_.resize(static_cast<std::size_t>(floats * pool_.threads()));
}

void AttentionEngine::attention(const Attention& args) {
  const auto& kv = static_cast<const PagedKv&>(*args.kv);
  const std::int64_t kv_heads = kv.shape().num_key_value_heads;
  const std::int64_t head_dim = kv.shape().head_dim;
  assert(args.q.cols == args.out.cols && args.q.cols % (kv_heads * head_dim) == 0);
  const std::int64_t group = args.q.cols / (kv_heads * head_dim);
  plan(args, group);
  reserve_scratch();
  pool_.parallel_for(static_cast<std::int64_t>(tiles_.size()) * kv_heads, 1,
                     [&](std::int64_t begin, std::int64_t end, int thread) {
                       for (std::int64_t item = begin; item < end; ++item) {
                         const std::int64_t head = item % kv_heads;
                         AttendTile tile = tiles_[static_cast<std::size_t>(item / kv_heads)];
                         tile.q += head * group * head_dim;
                         tile.out += head * group * head_dim;
                         tile.keys = kv.head(args.layer, PagedKv::kKeys, head);
                         tile.values = kv.head(args.layer, PagedKv::kValues, head);
                         tile.scratch = scratch_.data() + thread * thread_scratch_;
                         ops_.attend(tile);
                       }
                     });
}

}  // namespace bobby::cpu
