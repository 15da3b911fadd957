#pragma once

#include <string>

#include "base/progress.h"
#include "cli/console.h"

namespace bobby::cli {

/// Work on many bytes as one line: a bar, what is done, MB/s and the time that is left. On a
/// terminal it stands in one place; on anything else a line is written now and then.
class RateView {
 public:
  explicit RateView(Console& console) : console_(console) {}

  /// Throws Interrupted after a Ctrl-C, as Console::progress() does. The view must outlive it.
  ProgressFn progress();

  /// The line after `seconds` of work that began at `begin` bytes.
  static std::string line(const Progress& progress, std::uint64_t begin, double seconds);

 private:
  void show(const Progress& progress);

  Console& console_;
  std::string phase_;
  std::uint64_t begin_ = 0;
  double begin_time_ = 0;
  double note_time_ = 0;
};

}  // namespace bobby::cli
