#pragma once

#include <cstdint>
#include <functional>
#include <string_view>

namespace bobby {

/// How far a long piece of work is. Made by the room that works, shown by the one that was asked.
struct Progress {
  std::string_view phase;   ///< "quantize", "write": what is being done; valid during the call only
  std::uint64_t done = 0;   ///< in the unit of `total`, usually bytes
  std::uint64_t total = 0;  ///< 0: unknown
};

/// Called now and then (some tens of times a second at most) from the thread that works; empty: no
/// one is watching. It may throw, from the thread that was asked: that stops the work, which leaves
/// nothing half done behind; the exception is the watcher's own and passes through.
using ProgressFn = std::function<void(const Progress&)>;

}  // namespace bobby
