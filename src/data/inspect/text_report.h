#pragma once

#include <string>

#include "data/inspect/report.h"

namespace bobby::inspection {

struct TextStyle {
  bool colour = false;  ///< ANSI colours
  int width = 80;       ///< columns; at least 40
};

/// The report for a terminal or a pipe. Texts of the data hold no control characters.
std::string text_report(const Report& report, const TextStyle& style);

}  // namespace bobby::inspection
