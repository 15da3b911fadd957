#include "store/sqlite_draft_store.h"

#include <algorithm>
#include <chrono>
#include <fmt/format.h>
#include <limits>
#include <sqlite3.h>
#include <string>
#include <system_error>
#include <unistd.h>

#include "store/draft_outbox.h"
#include "store/folded.h"
#include "store/open_store.h"
#include "store/store_file.h"

namespace bobby::store {
namespace {

namespace fs = std::filesystem;

#define BOBBY_NOW "strftime('%Y-%m-%dT%H:%M:%fZ', 'now')"
#define BOBBY_SELECT_DRAFT                                                                       \
  "SELECT drafts.id, drafts.text, status, prompt, adapter, seed, graphemes, created_at, "        \
  "updated_at, state, account, record_key, uri, problem, attempts, not_before, approved_at, "    \
  "posted_at, decision, reason, at FROM drafts LEFT JOIN outbox ON outbox.draft_id = drafts.id " \
  "LEFT JOIN decisions ON decisions.id = (SELECT max(id) FROM decisions WHERE draft_id = "       \
  "drafts.id) WHERE "
#define BOBBY_MATCHES                                                                              \
  "(?1 = '' OR status = ?1) AND (?2 = '' OR holds_words(folded, ?2)) AND (?3 < 0 OR EXISTS "       \
  "(SELECT 1 FROM outbox WHERE draft_id = drafts.id AND state = ?3)) AND (?4 = '[]' OR drafts.id " \
  "IN (SELECT value FROM json_each(?4)))"

constexpr std::string_view kInsert =
    "INSERT INTO drafts (text, prompt, adapter, seed, graphemes, folded, created_at, updated_at) "
    "SELECT ?1, ?2, ?3, ?4, ?5, ?6, now, now FROM (SELECT " BOBBY_NOW " AS now) RETURNING id";
constexpr std::string_view kSelect = BOBBY_SELECT_DRAFT "drafts.id = ?1";
constexpr std::string_view kPage =
    BOBBY_SELECT_DRAFT BOBBY_MATCHES " AND drafts.id < ?5 ORDER BY drafts.id DESC LIMIT ?6";
constexpr std::string_view kCount = "SELECT count(*) FROM drafts WHERE " BOBBY_MATCHES;
constexpr std::string_view kChange =
    "UPDATE drafts SET text = ?2, status = ?3, graphemes = ?4, folded = ?5, updated_at = " BOBBY_NOW
    " WHERE id = ?1";
constexpr std::string_view kDelete = "DELETE FROM drafts WHERE id = ?1 RETURNING id";
constexpr std::string_view kDecide =
    "INSERT INTO decisions (draft_id, decision, reason, text, at) VALUES (?1, ?2, ?3, ?4, ?5)";

#undef BOBBY_MATCHES
#undef BOBBY_SELECT_DRAFT
#undef BOBBY_NOW

std::optional<PostStanding> post_of(const Run& run) {
  const auto state = run.optional_number(9);
  if (!state) return std::nullopt;
  return PostStanding{.state = static_cast<OutboxState>(*state),
                      .account = run.text(10),
                      .record_key = run.text(11),
                      .uri = run.text(12),
                      .problem = run.text(13),
                      .attempts = run.number(14),
                      .not_before = run.number(15),
                      .approved_at = run.number(16),
                      .posted_at = run.number(17)};
}

std::optional<LastDecision> decision_of(const Run& run) {
  const auto at = run.optional_number(20);
  if (!at) return std::nullopt;
  return LastDecision{.decision = run.text(18), .reason = run.text(19), .at = *at};
}

Draft draft_of(const Run& run) {
  return {.id = run.number(0),
          .text = run.text(1),
          .status = run.text(2),
          .prompt = run.text(3),
          .adapter = run.text(4),
          .seed = run.optional_number(5),
          .graphemes = run.number(6),
          .created_at = run.text(7),
          .updated_at = run.text(8),
          .post = post_of(run),
          .decision = decision_of(run)};
}

Moment moment_now() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

std::string_view text_of(sqlite3_value* value) {
  const unsigned char* bytes = sqlite3_value_text(value);
  if (bytes == nullptr) return {};
  return {reinterpret_cast<const char*>(bytes),
          static_cast<std::size_t>(sqlite3_value_bytes(value))};
}

void sql_holds_words(sqlite3_context* context, int /*count*/, sqlite3_value** values) {
  sqlite3_result_int(context, holds_words(text_of(values[0]), text_of(values[1])) ? 1 : 0);
}

Result<void> check_status(std::string_view status) {
  if (std::find(kDraftStatuses.begin(), kDraftStatuses.end(), status) != kDraftStatuses.end())
    return {};
  return fail({.code = ErrorCode::kUsage,
               .where = "status",
               .problem = "is not one that a draft may have",
               .expected = "draft, approved, rejected or posted",
               .found = std::string(status)});
}

// Why the approval of a draft ended that nobody took back.
constexpr std::string_view kTextChanged = "its text was changed";

Error changed_meanwhile(std::int64_t id) {
  return {.code = ErrorCode::kMismatch,
          .where = fmt::format("draft {}", id),
          .problem = "has another text by now than the one that was seen",
          .hint = "look at it again"};
}

// A line break keeps a word from matching the text's end and the prompt's beginning together.
Result<std::string> folded_draft(std::string_view text, std::string_view prompt) {
  BOBBY_TRY(std::string all, folded(text, "text"));
  BOBBY_TRY(const std::string folded_prompt, folded(prompt, "prompt"));
  return all + "\n" + folded_prompt;
}

}  // namespace

Result<std::unique_ptr<SqliteDraftStore>> SqliteDraftStore::open(const fs::path& path,
                                                                 const StoreOptions& options) {
  BOBBY_TRY(Database database, open_store(path, options));
  std::unique_ptr<SqliteDraftStore> store(new SqliteDraftStore(std::move(database)));
  BOBBY_CHECK(store->prepare());
  return store;
}

Result<void> SqliteDraftStore::prepare() {
  const int code = sqlite3_create_function(database_.handle(), "holds_words", 2,
                                           SQLITE_UTF8 | SQLITE_DETERMINISTIC, nullptr,
                                           &sql_holds_words, nullptr, nullptr);
  if (code != SQLITE_OK) return fail(database_.error(code));
  BOBBY_TRY(insert_, database_.prepare(kInsert));
  BOBBY_TRY(select_, database_.prepare(kSelect));
  BOBBY_TRY(page_, database_.prepare(kPage));
  BOBBY_TRY(count_, database_.prepare(kCount));
  BOBBY_TRY(change_, database_.prepare(kChange));
  BOBBY_TRY(delete_, database_.prepare(kDelete));
  BOBBY_TRY(decide_, database_.prepare(kDecide));
  return {};
}

Result<Draft> SqliteDraftStore::create(const NewDraft& draft) {
  BOBBY_TRY(const std::string search, folded_draft(draft.text, draft.prompt));
  BOBBY_CHECK(folded(draft.adapter, "adapter"));
  const std::lock_guard lock(mutex_);
  BOBBY_TRY(Transaction transaction, Transaction::begin(database_, Transaction::Kind::kWrite));
  std::int64_t id = 0;
  {
    Run run(database_, insert_);
    run.bind(1, draft.text).bind(2, draft.prompt).bind(3, draft.adapter).bind(4, draft.seed);
    run.bind(5, draft.graphemes).bind(6, search);
    BOBBY_CHECK(run.next());
    id = run.number(0);
  }
  BOBBY_TRY(std::optional<Draft> made, read(id));
  BOBBY_CHECK(transaction.commit());
  return *std::move(made);
}

Result<std::optional<Draft>> SqliteDraftStore::read(std::int64_t id) {
  Run run(database_, select_);
  BOBBY_TRY(const bool found, run.bind(1, id).next());
  if (!found) return std::nullopt;
  return draft_of(run);
}

Result<std::optional<Draft>> SqliteDraftStore::get(std::int64_t id) {
  const std::lock_guard lock(mutex_);
  return read(id);
}

Result<DraftPage> SqliteDraftStore::list(const DraftQuery& query) {
  if (query.limit < 1)
    return fail({.code = ErrorCode::kUsage, .where = "limit", .problem = "is not positive"});
  if (!query.status.empty()) BOBBY_CHECK(check_status(query.status));
  BOBBY_TRY(const std::string words, folded(query.query, "query"));
  const std::int64_t limit = std::min<std::int64_t>(query.limit, 1'000'000);
  const std::lock_guard lock(mutex_);
  const std::string ids = fmt::format("[{}]", fmt::join(query.ids, ","));
  const auto bind = [&](Run& run) -> Run& {
    const std::int64_t post = query.post ? static_cast<std::int64_t>(*query.post) : -1;
    return run.bind(1, query.status).bind(2, words).bind(3, post).bind(4, ids);
  };
  // Both statements see one state.
  BOBBY_TRY(Transaction transaction, Transaction::begin(database_, Transaction::Kind::kRead));
  DraftPage page;
  {
    Run run(database_, count_);
    BOBBY_CHECK(bind(run).next());
    page.total = run.number(0);
  }
  {
    Run run(database_, page_);
    bind(run).bind(5, query.before.value_or(std::numeric_limits<std::int64_t>::max()));
    run.bind(6, limit + 1);  // one more tells whether there is more
    while (true) {
      BOBBY_TRY(const bool found, run.next());
      if (!found) break;
      page.drafts.push_back(draft_of(run));
    }
  }
  page.has_more = static_cast<std::int64_t>(page.drafts.size()) > limit;
  if (page.has_more) page.drafts.pop_back();
  BOBBY_CHECK(transaction.commit());
  return page;
}

Result<void> SqliteDraftStore::write(const Draft& draft) {
  BOBBY_TRY(const std::string search, folded_draft(draft.text, draft.prompt));
  Run run(database_, change_);
  run.bind(1, draft.id).bind(2, draft.text).bind(3, draft.status);
  BOBBY_CHECK(run.bind(4, draft.graphemes).bind(5, search).next());
  return {};
}

Result<void> SqliteDraftStore::decide(const Draft& draft, std::string_view reason) {
  Run run(database_, decide_);
  run.bind(1, draft.id).bind(2, draft.status == "draft" ? "withdrawn" : draft.status);
  BOBBY_CHECK(run.bind(3, reason).bind(4, draft.text).bind(5, moment_now()).next());
  return {};
}

Result<std::optional<Draft>> SqliteDraftStore::update(std::int64_t id, const DraftChange& change) {
  if (change.status) BOBBY_CHECK(check_status(*change.status));
  if (change.reason) BOBBY_CHECK(folded(*change.reason, "reason"));
  const std::lock_guard lock(mutex_);
  BOBBY_TRY(Transaction transaction, Transaction::begin(database_, Transaction::Kind::kWrite));
  BOBBY_TRY(const std::optional<Draft> before, read(id));
  if (!before) return std::nullopt;
  if (change.seen_text && *change.seen_text != before->text) return fail(changed_meanwhile(id));
  Draft draft = *before;
  if (change.text) draft.text = *change.text;
  if (change.text) draft.graphemes = change.graphemes;
  const bool changes_text = draft.text != before->text;
  // Nobody approved the new text.
  const bool is_undecided = changes_text && before->status == "approved";
  draft.status = change.status.value_or(is_undecided ? "draft" : before->status);
  BOBBY_CHECK(follow_draft(database_, id,
                           {.changes_text = changes_text,
                            .approves = change.status == "approved",
                            .leaves_approved = change.status && *change.status != "approved",
                            .becomes_posted = change.status == "posted"}));
  BOBBY_CHECK(write(draft));
  if (!change.status && is_undecided) BOBBY_CHECK(decide(draft, kTextChanged));
  if (change.status && (draft.status != before->status || change.reason))
    BOBBY_CHECK(decide(draft, change.reason.value_or("")));
  BOBBY_TRY(std::optional<Draft> after, read(id));
  BOBBY_CHECK(transaction.commit());
  return after;
}

Result<bool> SqliteDraftStore::remove(std::int64_t id) {
  const std::lock_guard lock(mutex_);
  BOBBY_TRY(Transaction transaction, Transaction::begin(database_, Transaction::Kind::kWrite));
  bool removed = false;
  BOBBY_CHECK(follow_draft(database_, id, {.removes = true}));
  {
    Run run(database_, delete_);
    BOBBY_TRY(removed, run.bind(1, id).next());
  }
  BOBBY_CHECK(transaction.commit());
  return removed;
}

Result<void> SqliteDraftStore::write_copy(const fs::path& path) {
  BOBBY_CHECK(ensure_private_file(path));
  const std::lock_guard lock(mutex_);
  BOBBY_TRY(const Statement statement, database_.prepare("VACUUM INTO ?1"));
  Run run(database_, statement);
  if (auto written = run.bind(1, path.native()).next(); !written) {
    // It is the copy that has no room, not the store.
    const int code = sqlite3_errcode(database_.handle()) & 0xff;
    Error error = std::move(written).error();
    if (code == SQLITE_FULL || code == SQLITE_IOERR || code == SQLITE_CANTOPEN)
      error.where = path.string();
    return fail(std::move(error));
  }
  return flush_file(path);
}

Result<void> SqliteDraftStore::backup(const fs::path& path) {
  std::error_code error;
  if (fs::exists(fs::symlink_status(path, error)))
    return fail({.code = ErrorCode::kUsage,
                 .where = path.string(),
                 .problem = "exists already",
                 .hint = "remove it or name another file"});
  fs::path partial = path;
  partial += fmt::format(".partial-{}", ::getpid());
  fs::remove(partial, error);  // of a process that died and had our id
  auto written = write_copy(partial);
  if (written) {
    fs::rename(partial, path, error);
    if (!error) return {};
    written = fail({.code = ErrorCode::kIo,
                    .where = path.string(),
                    .problem = "cannot be put in place",
                    .found = error.message()});
  }
  fs::remove(partial, error);
  return tl::unexpected(std::move(written).error().in("backup to " + path.string()));
}

Result<void> SqliteDraftStore::check() {
  const std::lock_guard lock(mutex_);
  BOBBY_CHECK(check_whole(database_, "PRAGMA integrity_check(1)"));
  BOBBY_TRY(const Statement statement, database_.prepare("PRAGMA foreign_key_check"));
  Run run(database_, statement);
  BOBBY_TRY(const bool broken, run.next());
  if (!broken) return {};
  Error error = database_.error(SQLITE_CORRUPT);
  error.found = "a row of " + run.text(0) + " that refers to nothing";
  return fail(std::move(error));
}

}  // namespace bobby::store
