#include "store/open_store.h"

#include <sqlite3.h>
#include <string>
#include <utility>

#include "store/migrations.h"
#include "store/store_file.h"

namespace bobby::store {

Result<Database> open_store(const std::filesystem::path& path, const StoreOptions& options) {
  BOBBY_CHECK(ensure_private_file(path));
  BOBBY_TRY(Database database, Database::open(path, options.busy_timeout));
  BOBBY_CHECK(check_schema(database));  // before anything is changed in a file that is not ours
  BOBBY_CHECK(database.use_write_ahead_log());
  BOBBY_CHECK(migrate(database));
  BOBBY_CHECK(make_private(path));
  BOBBY_CHECK(check_whole(database, "PRAGMA quick_check(1)"));
  return database;
}

Result<void> check_whole(Database& database, std::string_view pragma) {
  BOBBY_TRY(const std::string verdict, database.text(pragma));
  if (verdict == "ok") return {};
  Error error = database.error(SQLITE_CORRUPT);
  error.found = verdict;
  return fail(std::move(error));
}

}  // namespace bobby::store
