#pragma once

#include <nlohmann/json_fwd.hpp>

#include "data/inspect/report.h"

namespace bobby::inspection {

/// The report as one object; docs/guides/data-inspect.md is the table of its names, which are kept.
nlohmann::ordered_json json_report(const Report& report);

}  // namespace bobby::inspection
