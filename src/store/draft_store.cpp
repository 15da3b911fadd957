#include "store/draft_store.h"

#include "store/sqlite_draft_store.h"

namespace bobby::store {

Result<std::unique_ptr<DraftStore>> DraftStore::open(const std::filesystem::path& path,
                                                     StoreOptions options) {
  BOBBY_TRY(auto store, SqliteDraftStore::open(path, options));
  return std::unique_ptr<DraftStore>(std::move(store));
}

}  // namespace bobby::store
