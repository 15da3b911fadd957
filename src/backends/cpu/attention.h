#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

#include "backends/backend.h"
#include "backends/cpu/ops/ops.h"
#include "base/thread_pool.h"

namespace bobby::cpu {

/// Backend::attention(), shared out by tiles of rows x KV heads, and by chunks of positions when
/// there are too few of those for the threads. A row's result is the same either way.
class AttentionEngine {
 public:
  AttentionEngine(const CpuOps& ops, ThreadPool& pool) : ops_(ops), pool_(pool) {}

  void attention(const Attention& args);

 private:
  /// A tile, or one chunk of it; of each KV head.
  struct Item {
    std::size_t tile = 0;
    std::int64_t chunk = 0;
    std::int64_t chunks = 1;          // of the tile; 1: all of it
    std::int64_t partial = 0;         // where the tile's partial results begin, of KV head 0
    std::int64_t partial_floats = 0;  // of one KV head
  };

  void plan_tiles(const Attention& args);
  void plan_items(std::int64_t kv_heads);
  void reserve(std::int64_t kv_heads);
  AttendTile tile_of_head(const Attention& args, const Item& item, std::int64_t head) const;
  void run(const Attention& args, const Item& item, std::int64_t head, int thread);

  const CpuOps& ops_;
  ThreadPool& pool_;

  // Kept from call to call, to be allocated once.
  std::vector<AttendTile> tiles_;  // of KV head 0
  std::vector<Item> items_;
  std::vector<float> scratch_;  // a part for each thread
  std::int64_t thread_scratch_ = 0;
  std::vector<float> partials_;
  std::int64_t partials_needed_ = 0;
  std::vector<std::atomic<std::int64_t>> chunks_done_;  // [tiles, KV heads]
};

}  // namespace bobby::cpu
