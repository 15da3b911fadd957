#pragma once

#include <span>
#include <string>
#include <string_view>

#include "data/inspect/report.h"

namespace bobby::inspection {

/// The report as one page that needs nothing else: styles and drawings stand in it, it has no
/// scripts and forbids itself every request. Every text of the data is escaped.
std::string html_report(const Report& report);

/// page.css, made part of the program.
struct EmbeddedFile {
  std::string_view name;
  std::string_view bytes;
};
std::span<const EmbeddedFile> embedded_files();

}  // namespace bobby::inspection
