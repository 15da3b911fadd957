#pragma once

#include <string>

#include "fidelity/report.h"

namespace bobby::fidelity {

/// The report as one page that needs nothing else, in the style of `bobby data inspect`'s.
std::string html_report(const Report& report);

}  // namespace bobby::fidelity
