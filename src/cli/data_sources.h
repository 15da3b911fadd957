#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "app/settings.h"
#include "base/result.h"
#include "data/import.h"
#include "data/source.h"

namespace bobby::cli {

/// A kind of source that `bobby data import` knows.
struct SourceKind {
  std::string_view name;  ///< "twitter"
  std::string_view what;  ///< what its PATH is
  Result<std::unique_ptr<data::PostSource>> (*open)(const std::string& path,
                                                    const Settings& settings);
};

/// Every kind; a new one is a row.
std::span<const SourceKind> source_kinds();

/// Opens what was asked for: `arguments` are KIND and its PATH[:WEIGHT]s, or none, and every
/// --source is a KIND:PATH[:WEIGHT]. kUsage for what cannot be read as that; the errors of the
/// sources.
Result<std::vector<data::ImportSource>> open_sources(const std::vector<std::string>& arguments,
                                                     const Settings& settings);

}  // namespace bobby::cli
