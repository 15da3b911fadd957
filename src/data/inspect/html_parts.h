#pragma once

#include <string>

#include "data/inspect/report.h"

namespace bobby::inspection {

// The page's sections, in its order; empty when there is nothing to show.
std::string summary_section(const Report& report);
std::string warnings_section(const Report& report);
std::string lengths_section(const Report& report);
std::string tokens_section(const Report& report);
std::string contents_section(const Report& report);
std::string origin_section(const Report& report);
std::string prompts_section(const Report& report);
std::string repeats_section(const Report& report);
std::string samples_section(const Report& report);

}  // namespace bobby::inspection
