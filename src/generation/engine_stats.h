#pragma once

#include <cstddef>
#include <cstdint>

namespace bobby {

/// An engine at one moment. Counters, from requests_done on, only grow.
struct EngineStats {
  std::int64_t max_rows = 0;
  std::int64_t running_rows = 0;
  std::int64_t running_requests = 0;     ///< with a prompt that is computed or rows that run
  std::int64_t prefilling_requests = 0;  ///< of those, with a prompt that is not all computed
  std::int64_t waiting_requests = 0;
  std::int64_t waiting_rows = 0;  ///< of running requests, not begun
  std::int64_t block_tokens = 0;
  std::int64_t kv_blocks = 0;
  std::int64_t kv_blocks_in_use = 0;  ///< by requests, or kept for later ones
  std::int64_t kv_blocks_cached = 0;  ///< kept for later requests, whether one uses them or not
  std::size_t kv_bytes = 0;
  double last_step_ms = 0.0;

  std::uint64_t requests_done = 0;
  std::uint64_t requests_cancelled = 0;
  std::uint64_t requests_failed = 0;
  std::uint64_t requests_refused = 0;
  std::uint64_t prompt_tokens = 0;         ///< of prompts that were begun
  std::uint64_t cached_prompt_tokens = 0;  ///< of those, found and not computed
  std::uint64_t generated_tokens = 0;
  std::uint64_t steps = 0;
  std::uint64_t kv_saturated =
      0;  ///< numbers that fp16 cells could not hold, when a request last ended
  double step_seconds = 0.0;
};

}  // namespace bobby
