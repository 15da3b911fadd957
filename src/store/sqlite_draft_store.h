#pragma once

#include <memory>
#include <mutex>
#include <optional>

#include "store/draft_store.h"
#include "store/sqlite.h"

namespace bobby::store {

/// Drafts in one SQLite file: one connection, which one thread uses at a time.
class SqliteDraftStore final : public DraftStore {
 public:
  static Result<std::unique_ptr<SqliteDraftStore>> open(const std::filesystem::path& path,
                                                        const StoreOptions& options);

  Result<Draft> create(const NewDraft& draft) override;
  Result<std::optional<Draft>> get(std::int64_t id) override;
  Result<DraftPage> list(const DraftQuery& query) override;
  Result<std::optional<Draft>> update(std::int64_t id, const DraftChange& change) override;
  Result<bool> remove(std::int64_t id) override;
  Result<void> backup(const std::filesystem::path& path) override;
  Result<void> check() override;

 private:
  explicit SqliteDraftStore(Database database) : database_(std::move(database)) {}
  Result<void> prepare();
  // Within the caller's lock, and for the latter two its transaction.
  Result<std::optional<Draft>> read(std::int64_t id);
  Result<void> write(const Draft& draft);
  Result<void> decide(const Draft& draft, std::string_view reason);
  Result<void> write_copy(const std::filesystem::path& path);

  std::mutex mutex_;
  Database database_;
  Statement insert_, select_, page_, count_, change_, delete_, decide_;
};

}  // namespace bobby::store
