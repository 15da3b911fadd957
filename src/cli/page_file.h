#pragma once

#include <string>

#include "base/result.h"

namespace bobby::cli {

/// Writes a report's page to `file`, in place of what was there. kIo says why it cannot.
Result<void> write_page(const std::string& file, const std::string& page);

}  // namespace bobby::cli
