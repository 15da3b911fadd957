#pragma once

#include <cstddef>
#include <cstdint>

#include "backends/backend.h"

namespace bobby {

/// How requests share a model.
struct EngineOptions {
  KvFormat kv_format = KvFormat::kF16;
  std::int64_t max_rows = 16;        ///< rows decoded together; further ones wait for a place
  std::int64_t prefill_chunk = 512;  ///< tokens of prompts that one step takes at most
  std::int64_t max_context = 0;      ///< tokens of a sequence; 0: the model's own limit
  std::int64_t max_queue = 0;        ///< requests beyond max_rows that are taken; 0: any number
  std::size_t kv_bytes = 0;          ///< of the KV pool; 0: it grows with what is asked for
  bool prefix_cache = false;         ///< keep what requests computed, for those that begin alike
};

}  // namespace bobby
