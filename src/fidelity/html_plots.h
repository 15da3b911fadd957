#pragma once

#include <string>

#include "fidelity/report.h"

namespace bobby::fidelity {

/// Of each way, the share of positions whose divergence is at most x, over x.
std::string divergence_svg(const Report& report);

/// Modules by block and projection, darker where rounding adds more to the change. `requantized`:
/// which of the two ways of fusing.
std::string modules_svg(const Report& report, bool requantized);

/// The class of a way's line and key in page.css.
std::string way_class(Way way);

}  // namespace bobby::fidelity
