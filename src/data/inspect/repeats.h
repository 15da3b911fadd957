#pragma once

#include "data/inspect/inspect.h"

namespace bobby::inspection {

/// Answers that stand twice, and those that nearly do.
struct AllRepeats {
  Repeats exact;
  Repeats near;
};

/// As `bobby data import` finds them. Empty answers are no one's like. kIo, kLimit.
Result<AllRepeats> find_repeats(const std::vector<DataFile>& files, const ProgressFn& progress);

}  // namespace bobby::inspection
