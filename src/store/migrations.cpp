#include "store/migrations.h"

#include <array>
#include <fmt/format.h>

namespace bobby::store {
namespace {

// "bobb": what SQLite's header calls the application's id, so that no other program's file is taken
// for ours.
constexpr std::int64_t kApplicationId = 0x626f6262;

// `folded` is the text and the prompt in the form in which they are searched (store/folded.h).
constexpr std::array kSteps = {
    std::string_view(R"(
CREATE TABLE drafts (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  text TEXT NOT NULL,
  status TEXT NOT NULL DEFAULT 'draft'
    CHECK (status IN ('draft', 'approved', 'rejected', 'posted')),
  prompt TEXT NOT NULL,
  adapter TEXT NOT NULL,
  seed INTEGER,
  graphemes INTEGER NOT NULL,
  folded TEXT NOT NULL,
  created_at TEXT NOT NULL,
  updated_at TEXT NOT NULL
) STRICT;
CREATE INDEX drafts_by_status ON drafts (status, id);
)"),
    // An outbox row outlives its draft once it was posted: novelty is judged against it.
    std::string_view(R"(
CREATE TABLE outbox (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  draft_id INTEGER NOT NULL UNIQUE,
  account TEXT NOT NULL,
  record_key TEXT NOT NULL,
  text TEXT NOT NULL,
  record TEXT NOT NULL DEFAULT '',
  state INTEGER NOT NULL DEFAULT 0 CHECK (state BETWEEN 0 AND 3),
  attempts INTEGER NOT NULL DEFAULT 0,
  not_before INTEGER NOT NULL DEFAULT 0,
  uri TEXT NOT NULL DEFAULT '',
  cid TEXT NOT NULL DEFAULT '',
  problem TEXT NOT NULL DEFAULT '',
  approved_at INTEGER NOT NULL,
  sent_at INTEGER NOT NULL DEFAULT 0,
  tried_at INTEGER NOT NULL DEFAULT 0,
  posted_at INTEGER NOT NULL DEFAULT 0,
  UNIQUE (account, record_key)
) STRICT;
CREATE INDEX outbox_by_state ON outbox (account, state, id);
CREATE TABLE decisions (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  draft_id INTEGER NOT NULL,
  decision TEXT NOT NULL,
  reason TEXT NOT NULL,
  text TEXT NOT NULL,
  at INTEGER NOT NULL
) STRICT;
CREATE TABLE accounts (
  account TEXT PRIMARY KEY,
  handled_until INTEGER NOT NULL DEFAULT 0,
  paused_until INTEGER NOT NULL DEFAULT 0,
  pause_reason TEXT NOT NULL DEFAULT ''
) STRICT, WITHOUT ROWID;
CREATE TABLE leases (
  name TEXT PRIMARY KEY,
  owner TEXT NOT NULL,
  until INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
)"),
    // Each draft is shown with the last decision about it.
    std::string_view("CREATE INDEX decisions_by_draft ON decisions (draft_id, id);"),
};

constexpr auto kNewest = static_cast<std::int64_t>(kSteps.size());

}  // namespace

std::span<const std::string_view> schema_steps() {
  return kSteps;
}

Result<void> check_schema(Database& database) {
  BOBBY_TRY(const std::int64_t application, database.number("PRAGMA application_id"));
  BOBBY_TRY(const std::int64_t objects, database.number("SELECT count(*) FROM sqlite_schema"));
  if (application != kApplicationId && !(application == 0 && objects == 0))
    return fail({.code = ErrorCode::kMalformed,
                 .where = database.path().string(),
                 .problem = "is another program's database",
                 .hint = "name another file"});
  BOBBY_TRY(const std::int64_t version, database.number("PRAGMA user_version"));
  if (version >= 0 && version <= kNewest) return {};
  return fail({.code = ErrorCode::kUnsupported,
               .where = database.path().string(),
               .problem = "was written by a newer version of this program",
               .expected = fmt::format("schema version {} or older", kNewest),
               .found = fmt::format("{}", version),
               .hint = "update this program"});
}

Result<void> migrate(Database& database) {
  BOBBY_TRY(std::int64_t version, database.number("PRAGMA user_version"));
  if (version == kNewest) return {};
  BOBBY_TRY(Transaction transaction, Transaction::begin(database, Transaction::Kind::kWrite));
  // Another process may have been faster.
  BOBBY_CHECK(check_schema(database));
  BOBBY_TRY(version, database.number("PRAGMA user_version"));
  for (auto step = version; step < kNewest; ++step)
    BOBBY_CHECK(database.execute(std::string(kSteps[static_cast<std::size_t>(step)])));
  BOBBY_CHECK(database.execute(fmt::format("PRAGMA application_id = {}; PRAGMA user_version = {};",
                                           kApplicationId, kNewest)));
  return transaction.commit();
}

}  // namespace bobby::store
