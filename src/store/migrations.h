#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "base/result.h"
#include "store/sqlite.h"

namespace bobby::store {

/// SQL steps: the one at [n] leads from schema version n to n + 1. Never changed once released; a
/// new version is a new step at the end.
std::span<const std::string_view> schema_steps();

/// Reads only: kMalformed for another program's database, kUnsupported for one that a newer version
/// of this one wrote.
Result<void> check_schema(Database& database);

/// Brings a file's schema up to date, all steps in one transaction.
Result<void> migrate(Database& database);

}  // namespace bobby::store
