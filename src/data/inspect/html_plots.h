#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "data/inspect/lengths.h"

namespace bobby::inspection {

/// A value of the horizontal axis that is marked by a line.
struct PlotMark {
  std::int64_t value = 0;
  std::string label;  ///< plain text
};

/// What a histogram is called and read out as.
struct PlotText {
  std::string_view id;    ///< of the drawing, in the page
  std::string title;      ///< plain text
  std::string summary;    ///< for those who cannot see it
  std::string_view unit;  ///< "character"
};

/// A histogram as one <svg>: the first set as bars, the second as a line over each bar, both as
/// shares of their set. It is as wide as its place, its letters are always of one size.
std::string histogram_svg(const Histogram& histogram, const std::vector<std::string>& names,
                          const std::vector<PlotMark>& marks, const PlotText& text);

/// A bar of `share` (0 to 1) of its place; `kind` is its class. Not read out: its number stands
/// beside it.
std::string bar_svg(double share, std::string_view kind);

}  // namespace bobby::inspection
