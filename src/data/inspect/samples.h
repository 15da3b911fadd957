#pragma once

#include "data/inspect/inspect.h"

namespace bobby::inspection {

/// options.samples records drawn from all files together by options.seed, in the files' order.
std::vector<Sample> draw_samples(const std::vector<DataFile>& files, const InspectOptions& options);

}  // namespace bobby::inspection
