#pragma once

#include <filesystem>
#include <optional>

#include "base/result.h"
#include "data/inspect/report.h"

namespace bobby::inspection {

/// `folder`/manifest.json as `bobby data import` writes it; nullopt when there is none. kMalformed,
/// kLimit: it is something else.
Result<std::optional<Manifest>> read_manifest(const std::filesystem::path& folder);

}  // namespace bobby::inspection
