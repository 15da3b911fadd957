#pragma once

#include <string>

#include "app/settings.h"
#include "base/result.h"

namespace bobby::cli {

/// The password for `who`: the first line of --password-file (of stdin for "-"), or
/// $BOBBY_BLUESKY_PASSWORD, or what is typed on the terminal, unseen. kUsage: there is none of
/// these; kNotFound, kIo. Throws Interrupted after a Ctrl-C.
Result<std::string> ask_password(const Settings& settings, const std::string& who);

}  // namespace bobby::cli
