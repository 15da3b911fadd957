#pragma once

#include "app/settings.h"
#include "cli/console.h"
#include "hub/cache/download.h"

namespace bobby::cli {

/// Shows downloads on stderr: on a terminal a line for each file, with its rate and the time that
/// is left; elsewhere a line now and then, and one when a file is there. Nothing with -q or
/// HF_HUB_DISABLE_PROGRESS_BARS. Throws Interrupted after a Ctrl-C. The Console must outlive it.
hub::PullWatch pull_view(Console& console, const Settings& settings);

/// "1.2 GB", "350 kB"
std::string size_text(std::uint64_t bytes);

}  // namespace bobby::cli
