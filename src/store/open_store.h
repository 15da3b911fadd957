#pragma once

#include <filesystem>

#include "base/result.h"
#include "store/draft_store.h"
#include "store/sqlite.h"

namespace bobby::store {

/// A connection to the store at `path`: DraftStore::open()'s promise.
Result<Database> open_store(const std::filesystem::path& path, const StoreOptions& options);

/// Whether what `pragma` ("PRAGMA quick_check(1)") says is "ok"; else kMalformed with what it says.
Result<void> check_whole(Database& database, std::string_view pragma);

}  // namespace bobby::store
