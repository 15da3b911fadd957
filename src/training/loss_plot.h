#pragma once

#include <span>
#include <string>

#include "training/metrics.h"

namespace bobby {

/// Both losses over the iterations as an SVG page of its own, for light and dark screens.
std::string loss_plot_svg(std::span<const MetricsRow> rows);

}  // namespace bobby
