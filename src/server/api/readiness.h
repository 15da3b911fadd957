#pragma once

#include <cstdint>
#include <mutex>
#include <string>

#include "base/progress.h"

namespace bobby::server {

/// How far a server is from its first answer. Thread-safe.
class Readiness {
 public:
  enum class State : std::uint8_t { kLoading, kReady, kFailed, kDraining };
  struct Snapshot {
    State state = State::kLoading;
    std::string phase = "start";  ///< what is being loaded
    std::uint64_t done = 0;
    std::uint64_t total = 0;
    std::string device;  ///< where the model runs, once it is ready
    std::string error;   ///< why it is not going to be ready
  };

  void progress(const Progress& progress) {
    const std::lock_guard lock(mutex_);
    now_.phase = progress.phase;
    now_.done = progress.done;
    now_.total = progress.total;
  }
  void ready(std::string device) {
    const std::lock_guard lock(mutex_);
    now_.device = std::move(device);
    if (now_.state == State::kLoading) now_.state = State::kReady;
  }
  void failed(std::string error) {
    const std::lock_guard lock(mutex_);
    now_.error = std::move(error);
    if (now_.state == State::kLoading) now_.state = State::kFailed;
  }
  void drain() {
    const std::lock_guard lock(mutex_);
    now_.state = State::kDraining;
  }
  Snapshot now() const {
    const std::lock_guard lock(mutex_);
    return now_;
  }

 private:
  mutable std::mutex mutex_;
  Snapshot now_;
};

}  // namespace bobby::server
