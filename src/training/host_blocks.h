#pragma once

#include <cstdint>

#include "base/thread_pool.h"

namespace bobby {

/// ThreadPool::parallel_for over threads that all of the process's training shares: what an
/// optimizer step does to millions of numbers in host memory. For work that is the same however it
/// is cut. Blocks until all is done; calls wait for each other.
void for_host_blocks(std::int64_t count, std::int64_t block, RangeTask task);

}  // namespace bobby
