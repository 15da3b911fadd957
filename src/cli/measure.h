#pragma once

#include <chrono>
#include <cstddef>
#include <filesystem>

namespace bobby::cli {

/// Time since it was made.
class Stopwatch {
 public:
  double milliseconds() const {
    return std::chrono::duration<double, std::milli>(Clock::now() - begin_).count();
  }

 private:
  using Clock = std::chrono::steady_clock;
  Clock::time_point begin_ = Clock::now();
};

/// GB/s (1e9) that `threads` threads (0: all) read from memory together, streaming: the best of
/// several passes over a buffer that no cache holds. Takes about 0.3 s and 256 MB while it runs.
double read_bandwidth(int threads);

/// The same over the mapped weights of a model folder themselves: where their pages lie can make
/// them slower than memory at its best (on a virtual machine by half). 0 where nothing could be
/// read. Takes two passes over the files.
double weights_bandwidth(const std::filesystem::path& folder, int threads);

/// The most memory that this process has held so far, in bytes.
std::size_t peak_rss_bytes();
/// Starts peak_rss_bytes() anew from now; false where the system cannot.
bool reset_peak_rss();

}  // namespace bobby::cli
