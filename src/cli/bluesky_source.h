#pragma once

#include <memory>
#include <string>

#include "app/settings.h"
#include "base/result.h"
#include "data/source.h"

namespace bobby::cli {

/// Posts of a Bluesky account: of its exported repository when `text` is a file (or looks like the
/// path of one), else of the handle or DID that it is, from the account's server. Finds that server
/// at once, so it may use the network; Ctrl-C ends it as ever. kUsage with --offline, and the
/// errors of find_account() and open_bluesky_repo().
Result<std::unique_ptr<data::PostSource>> open_bluesky(const std::string& text,
                                                       const Settings& settings);

}  // namespace bobby::cli
