#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "backends/backend.h"

namespace bobby {

/// What one kind of operation has cost so far.
struct StageTime {
  std::string name;  ///< "attention", ...; for linear() the projections: "q_proj k_proj v_proj"
  double milliseconds = 0.0;
  std::int64_t calls = 0;
  std::uint64_t weight_bytes = 0;  ///< of the weights named in all calls; 0: none
};

/// Passes everything on to another backend and clocks its operations, each with the sync() that
/// makes it complete: on a device that works on its own the sum is more than a step takes.
class TimedBackend : public Backend {
 public:
  /// Since the last reset(), in the order of their first calls.
  virtual std::vector<StageTime> stages() const = 0;
  virtual void reset() = 0;
};

std::unique_ptr<TimedBackend> make_timed_backend(std::unique_ptr<Backend> inner);

}  // namespace bobby
