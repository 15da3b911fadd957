#include "training/host_blocks.h"

#include <algorithm>
#include <mutex>

namespace bobby {

void for_host_blocks(std::int64_t count, std::int64_t block, RangeTask task) {
  constexpr int kMostThreads = 16;  // memory is no faster for more
  static std::mutex mutex;
  static ThreadPool pool(std::min(kMostThreads, ThreadPool::available_processors()));
  const std::lock_guard lock(mutex);
  pool.parallel_for(count, block, task);
}

}  // namespace bobby
