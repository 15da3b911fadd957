#pragma once

#include "data/inspect/measure.h"

namespace bobby::inspection {

/// What looks wrong in `report`, whose numbers and manifest stand; `measured` is by split. The
/// gravest first.
std::vector<Warning> find_warnings(const Report& report, const std::vector<Measured>& measured);

}  // namespace bobby::inspection
