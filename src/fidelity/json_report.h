#pragma once

#include <nlohmann/json_fwd.hpp>

#include "fidelity/report.h"

namespace bobby::fidelity {

/// The report as one object; docs/guides/fidelity.md is the table of its names, which are kept.
nlohmann::ordered_json json_report(const Report& report);

}  // namespace bobby::fidelity
