#include "store/sqlite_outbox.h"

#include <fmt/format.h>

#include "store/draft_outbox.h"
#include "store/open_store.h"

namespace bobby::store {
namespace {

#define BOBBY_POST_COLUMNS                                                                   \
  "id, draft_id, account, record_key, text, record, state, attempts, not_before, uri, cid, " \
  "problem, approved_at, sent_at, tried_at, posted_at"
#define BOBBY_SELECT_POST "SELECT " BOBBY_POST_COLUMNS " FROM outbox WHERE "

// OutboxState's numbers, as the statements below spell them.
static_assert(static_cast<int>(OutboxState::kApproved) == 0);
static_assert(static_cast<int>(OutboxState::kSending) == 1);
static_assert(static_cast<int>(OutboxState::kPosted) == 2);
static_assert(static_cast<int>(OutboxState::kRefused) == 3);

constexpr std::string_view kApprove =
    "INSERT INTO outbox (draft_id, account, record_key, text, approved_at) "
    "VALUES (?1, ?2, ?3, ?4, ?5) RETURNING " BOBBY_POST_COLUMNS;
constexpr std::string_view kBegin =
    "UPDATE outbox SET state = 1, attempts = attempts + 1, problem = '', "
    "record = CASE record WHEN '' THEN ?2 ELSE record END, "
    "sent_at = CASE sent_at WHEN 0 THEN ?3 ELSE sent_at END, tried_at = ?3 "
    "WHERE id = ?1 AND state = 0 RETURNING " BOBBY_POST_COLUMNS;
constexpr std::string_view kBeginAgain =
    "UPDATE outbox SET attempts = attempts + 1, not_before = 0, tried_at = ?2 "
    "WHERE id = ?1 AND state = 1 RETURNING " BOBBY_POST_COLUMNS;
constexpr std::string_view kPosted =
    "UPDATE outbox SET state = 2, uri = ?2, cid = ?3, posted_at = ?4, problem = '' "
    "WHERE id = ?1 AND state = 1 RETURNING " BOBBY_POST_COLUMNS;
constexpr std::string_view kRefused =
    "UPDATE outbox SET state = 3, problem = ?2 WHERE id = ?1 AND state IN (0, 1) "
    "AND attempts = ?3 RETURNING " BOBBY_POST_COLUMNS;
constexpr std::string_view kPostpone =
    "UPDATE outbox SET state = 0, problem = ?2, not_before = ?3 WHERE id = ?1 AND state = 1 "
    "AND attempts = ?4 RETURNING " BOBBY_POST_COLUMNS;
constexpr std::string_view kHandled =
    "INSERT INTO accounts (account, handled_until) VALUES (?1, ?2) ON CONFLICT (account) DO UPDATE "
    "SET handled_until = max(handled_until, excluded.handled_until)";
constexpr std::string_view kPause =
    "INSERT INTO accounts (account, paused_until, pause_reason) VALUES (?1, ?2, ?3) ON CONFLICT "
    "(account) DO UPDATE SET paused_until = excluded.paused_until, "
    "pause_reason = excluded.pause_reason";
// A lease whose end lies far ahead was taken before the clock was set back: it counts as run out.
constexpr std::string_view kLease =
    "INSERT INTO leases (name, owner, until) VALUES (?1, ?2, ?4) ON CONFLICT (name) DO UPDATE SET "
    "owner = excluded.owner, until = excluded.until WHERE leases.owner = excluded.owner OR "
    "leases.until <= ?3 OR leases.until > ?3 + 2 * (?4 - ?3) RETURNING owner";

constexpr std::string_view kLastDecision =
    "SELECT draft_id, decision, reason, text, at FROM decisions WHERE draft_id = ?1 "
    "ORDER BY id DESC LIMIT 1";

OutboxPost post_of(const Run& run) {
  return {.id = run.number(0),
          .draft_id = run.number(1),
          .account = run.text(2),
          .record_key = run.text(3),
          .text = run.text(4),
          .record = run.text(5),
          .state = static_cast<OutboxState>(run.number(6)),
          .attempts = run.number(7),
          .not_before = run.number(8),
          .uri = run.text(9),
          .cid = run.text(10),
          .problem = run.text(11),
          .approved_at = run.number(12),
          .sent_at = run.number(13),
          .tried_at = run.number(14),
          .posted_at = run.number(15)};
}

Decision decision_of(const Run& run) {
  return {run.number(0), run.text(1), run.text(2), run.text(3), run.number(4)};
}

/// Every row of a statement with `values` bound from 1, each made by `make`.
template <typename Make, typename... Values>
auto rows(Database& database, std::string_view sql, Make make, const Values&... values)
    -> Result<std::vector<decltype(make(std::declval<const Run&>()))>> {
  BOBBY_TRY(const Statement statement, database.prepare(sql));
  Run run(database, statement);
  int index = 0;
  (run.bind(++index, values), ...);
  std::vector<decltype(make(run))> made;
  for (;;) {
    BOBBY_TRY(const bool found, run.next());
    if (!found) return made;
    made.push_back(make(run));
  }
}

template <typename... Values>
Result<std::optional<OutboxPost>> one_post(Database& database, std::string_view sql,
                                           const Values&... values) {
  BOBBY_TRY(std::vector<OutboxPost> posts, rows(database, sql, post_of, values...));
  if (posts.empty()) return std::nullopt;
  return std::move(posts.front());
}

template <typename... Values>
Result<void> execute(Database& database, std::string_view sql, const Values&... values) {
  BOBBY_TRY(const auto none, rows(
                                 database, sql, [](const Run&) { return 0; }, values...));
  return {};
}

std::string draft_name(std::int64_t id) {
  return fmt::format("draft {}", id);
}

}  // namespace

std::string_view outbox_state_name(OutboxState state) {
  return kOutboxStates[static_cast<std::size_t>(state)];
}

Result<std::unique_ptr<Outbox>> Outbox::open(const std::filesystem::path& path,
                                             StoreOptions options) {
  BOBBY_TRY(auto outbox, SqliteOutbox::open(path, options));
  return std::unique_ptr<Outbox>(std::move(outbox));
}

Result<std::unique_ptr<SqliteOutbox>> SqliteOutbox::open(const std::filesystem::path& path,
                                                         const StoreOptions& options) {
  BOBBY_TRY(Database database, open_store(path, options));
  return std::unique_ptr<SqliteOutbox>(new SqliteOutbox(std::move(database)));
}

Result<SqliteOutbox::DraftState> SqliteOutbox::draft(std::int64_t id) {
  BOBBY_TRY(std::vector<DraftState> found,
            rows(
                database_, "SELECT text, status FROM drafts WHERE id = ?1",
                [](const Run& run) {
                  return DraftState{run.text(0), run.text(1)};
                },
                id));
  if (!found.empty()) return std::move(found.front());
  return fail({.code = ErrorCode::kNotFound,
               .where = draft_name(id),
               .problem = "is not in the store",
               .hint = "`bobby bot review` shows what waits"});
}

Result<void> SqliteOutbox::set_draft_status(std::int64_t id, std::string_view status) {
  return execute(database_,
                 "UPDATE drafts SET status = ?2, updated_at = strftime('%Y-%m-%dT%H:%M:%fZ', "
                 "'now') WHERE id = ?1 AND status <> ?2",
                 id, status);
}

Result<void> SqliteOutbox::decide(const Decision& decision) {
  return execute(database_,
                 "INSERT INTO decisions (draft_id, decision, reason, text, at) "
                 "VALUES (?1, ?2, ?3, ?4, ?5)",
                 decision.draft_id, decision.decision, decision.reason, decision.text, decision.at);
}

Result<std::optional<OutboxPost>> SqliteOutbox::find(std::string_view condition,
                                                     std::int64_t value) {
  return one_post(database_, fmt::format(BOBBY_SELECT_POST "{} = ?1", condition), value);
}

Result<void> SqliteOutbox::check_unsent(const OutboxPost& post) {
  if (post.state == OutboxState::kSending)
    return fail({.code = ErrorCode::kBusy,
                 .where = draft_name(post.draft_id),
                 .problem = "is being posted",
                 .hint = "wait until it is known whether it was"});
  if (post.state == OutboxState::kPosted)
    return fail({.code = ErrorCode::kUsage,
                 .where = draft_name(post.draft_id),
                 .problem = "was posted",
                 .found = post.uri});
  return {};
}

Result<OutboxPost> SqliteOutbox::approve(std::int64_t draft_id, std::string_view account,
                                         std::string_view record_key, Moment now) {
  const std::lock_guard lock(mutex_);
  BOBBY_TRY(Transaction transaction, Transaction::begin(database_, Transaction::Kind::kWrite));
  BOBBY_TRY(std::optional<OutboxPost> post, find("draft_id", draft_id));
  if (post && post->account == account && post->state != OutboxState::kRefused)
    return *std::move(post);
  if (post)
    return fail({.code = ErrorCode::kUsage,
                 .where = draft_name(draft_id),
                 .problem = post->state == OutboxState::kRefused
                                ? "was refused by the server: " + post->problem
                                : "is approved for another account",
                 .found = post->account,
                 .hint = "reject it, or change its text first"});
  BOBBY_TRY(const DraftState found, draft(draft_id));
  if (found.status == "rejected" || found.status == "posted")
    return fail({.code = ErrorCode::kUsage,
                 .where = draft_name(draft_id),
                 .problem = "is " + found.status + " already"});
  BOBBY_TRY(const auto taken,
            one_post(database_, BOBBY_SELECT_POST "account = ?1 AND record_key = ?2", account,
                     record_key));
  if (taken)
    return fail({.code = ErrorCode::kMismatch,
                 .where = draft_name(draft_id),
                 .problem = "cannot have the key of draft " + std::to_string(taken->draft_id),
                 .found = std::string(record_key)});
  BOBBY_TRY(post, one_post(database_, kApprove, draft_id, account, record_key, found.text, now));
  // One that was approved on the page only lacked its key.
  if (found.status != "approved") {
    BOBBY_CHECK(set_draft_status(draft_id, "approved"));
    BOBBY_CHECK(decide({draft_id, "approved", "", found.text, now}));
  }
  BOBBY_CHECK(transaction.commit());
  return *std::move(post);
}

Result<void> SqliteOutbox::reject(std::int64_t draft_id, std::string_view reason, Moment now) {
  const std::lock_guard lock(mutex_);
  BOBBY_TRY(Transaction transaction, Transaction::begin(database_, Transaction::Kind::kWrite));
  BOBBY_TRY(const DraftState found, draft(draft_id));
  BOBBY_TRY(const auto post, find("draft_id", draft_id));
  if (post) BOBBY_CHECK(check_unsent(*post));
  BOBBY_CHECK(execute(database_, "DELETE FROM outbox WHERE draft_id = ?1", draft_id));
  BOBBY_CHECK(set_draft_status(draft_id, "rejected"));
  BOBBY_CHECK(decide({draft_id, "rejected", std::string(reason), found.text, now}));
  return transaction.commit();
}

Result<void> SqliteOutbox::withdraw(std::int64_t draft_id, Moment now) {
  const std::lock_guard lock(mutex_);
  BOBBY_TRY(Transaction transaction, Transaction::begin(database_, Transaction::Kind::kWrite));
  BOBBY_TRY(const DraftState found, draft(draft_id));
  BOBBY_TRY(const auto post, find("draft_id", draft_id));
  if (post) BOBBY_CHECK(check_unsent(*post));
  BOBBY_CHECK(execute(database_, "DELETE FROM outbox WHERE draft_id = ?1", draft_id));
  BOBBY_CHECK(set_draft_status(draft_id, "draft"));
  BOBBY_CHECK(decide({draft_id, "withdrawn", "", found.text, now}));
  return transaction.commit();
}

Result<Decision> SqliteOutbox::last_decision(std::int64_t draft_id) {
  BOBBY_TRY(std::vector<Decision> found, rows(database_, kLastDecision, decision_of, draft_id));
  return found.empty() ? Decision{} : std::move(found.front());
}

Result<Outbox::Handover> SqliteOutbox::begin_handover(std::int64_t draft_id, std::string_view text,
                                                      Moment now) {
  const std::lock_guard lock(mutex_);
  BOBBY_TRY(Transaction transaction, Transaction::begin(database_, Transaction::Kind::kWrite));
  BOBBY_TRY(const DraftState found, draft(draft_id));
  BOBBY_TRY(Decision last, last_decision(draft_id));
  if (last.decision == kHandingOver) return Handover{std::move(last.text), true};
  const bool is_there = last.decision == kHandedOver;
  if (is_there || found.status == "rejected" || found.status == "posted")
    return fail({.code = ErrorCode::kUsage,
                 .where = draft_name(draft_id),
                 .problem = is_there ? "was sent already" : "is " + found.status + " already",
                 .found = is_there ? last.reason : ""});
  BOBBY_TRY(const auto post, find("draft_id", draft_id));
  if (post) BOBBY_CHECK(check_unsent(*post));
  BOBBY_CHECK(execute(database_, "DELETE FROM outbox WHERE draft_id = ?1", draft_id));
  BOBBY_CHECK(set_draft_status(draft_id, "rejected"));
  BOBBY_CHECK(decide({draft_id, std::string(kHandingOver), "", std::string(text), now}));
  BOBBY_CHECK(transaction.commit());
  return Handover{std::string(text), false};
}

Result<void> SqliteOutbox::finish_handover(Decision decision) {
  const std::lock_guard lock(mutex_);
  BOBBY_TRY(Transaction transaction, Transaction::begin(database_, Transaction::Kind::kWrite));
  BOBBY_TRY(Decision begun, last_decision(decision.draft_id));
  if (begun.decision != kHandingOver)
    return fail({.code = ErrorCode::kUsage,
                 .where = draft_name(decision.draft_id),
                 .problem = "is not being handed over"});
  if (decision.decision != kHandedOver) BOBBY_CHECK(set_draft_status(decision.draft_id, "draft"));
  decision.text = std::move(begun.text);
  BOBBY_CHECK(decide(decision));
  return transaction.commit();
}

Result<void> SqliteOutbox::end_handover(std::int64_t draft_id, std::string_view where, Moment now) {
  return finish_handover({draft_id, std::string(kHandedOver), std::string(where), "", now});
}

Result<void> SqliteOutbox::undo_handover(std::int64_t draft_id, Moment now) {
  return finish_handover({draft_id, "withdrawn", "", "", now});
}

Result<std::vector<std::int64_t>> SqliteOutbox::without_key() {
  const std::lock_guard lock(mutex_);
  return rows(database_,
              "SELECT id FROM drafts WHERE status = 'approved' AND NOT EXISTS "
              "(SELECT 1 FROM outbox WHERE draft_id = drafts.id) ORDER BY id",
              [](const Run& run) { return run.number(0); });
}

Result<std::optional<OutboxPost>> SqliteOutbox::get(std::int64_t id) {
  const std::lock_guard lock(mutex_);
  return find("id", id);
}

Result<std::optional<OutboxPost>> SqliteOutbox::of_draft(std::int64_t draft_id) {
  const std::lock_guard lock(mutex_);
  return find("draft_id", draft_id);
}

Result<std::vector<OutboxPost>> SqliteOutbox::list(const OutboxQuery& query) {
  const std::lock_guard lock(mutex_);
  const std::int64_t state = query.state ? static_cast<std::int64_t>(*query.state) : -1;
  return rows(database_,
              BOBBY_SELECT_POST
              "(?1 = '' OR account = ?1) AND (?2 < 0 OR state = ?2) "
              "ORDER BY id DESC LIMIT ?3",
              post_of, std::string_view(query.account), state, query.limit);
}

Result<std::array<std::int64_t, 4>> SqliteOutbox::counts(std::string_view account) {
  const std::lock_guard lock(mutex_);
  std::array<std::int64_t, 4> counts{};
  BOBBY_TRY(const auto found,
            rows(
                database_, "SELECT state, count(*) FROM outbox WHERE account = ?1 GROUP BY state",
                [](const Run& run) { return std::pair(run.number(0), run.number(1)); }, account));
  for (const auto& [state, count] : found) counts[static_cast<std::size_t>(state)] = count;
  return counts;
}

Result<std::vector<Moment>> SqliteOutbox::posted_times(std::string_view account, Moment since) {
  const std::lock_guard lock(mutex_);
  return rows(
      database_,
      "SELECT tried_at FROM outbox WHERE account = ?1 AND state IN (1, 2) AND tried_at >= ?2 "
      "ORDER BY tried_at",
      [](const Run& run) { return run.number(0); }, account, since);
}

Result<std::optional<OutboxPost>> SqliteOutbox::sending(std::string_view account) {
  const std::lock_guard lock(mutex_);
  return one_post(database_, BOBBY_SELECT_POST "account = ?1 AND state = 1 ORDER BY id LIMIT 1",
                  account);
}

Result<std::optional<OutboxPost>> SqliteOutbox::next(std::string_view account, Moment now,
                                                     Tried tried) {
  const std::lock_guard lock(mutex_);
  return one_post(database_,
                  BOBBY_SELECT_POST
                  "account = ?1 AND state = 0 AND not_before <= ?2 AND (attempts > 0) = ?3 "
                  "ORDER BY id LIMIT 1",
                  account, now, std::int64_t{tried == Tried::kBefore});
}

Result<std::optional<Moment>> SqliteOutbox::next_try(std::string_view account) {
  const std::lock_guard lock(mutex_);
  BOBBY_TRY(const auto found,
            rows(
                database_,
                "SELECT min(not_before) FROM outbox WHERE account = ?1 AND state = 0 AND "
                "attempts > 0",
                [](const Run& run) { return run.optional_number(0); }, account));
  return found.empty() ? std::nullopt : found.front();
}

Result<std::optional<OutboxPost>> SqliteOutbox::begin(std::int64_t id, std::string_view record,
                                                      Moment now, std::optional<Moment> handled) {
  const std::lock_guard lock(mutex_);
  BOBBY_TRY(Transaction transaction, Transaction::begin(database_, Transaction::Kind::kWrite));
  BOBBY_TRY(auto post, one_post(database_, kBegin, id, record, now));
  if (!post) return std::nullopt;
  if (handled) BOBBY_CHECK(write_handled(post->account, *handled));
  BOBBY_CHECK(transaction.commit());
  return post;
}

Result<std::optional<OutboxPost>> SqliteOutbox::begin_again(std::int64_t id, Moment now) {
  const std::lock_guard lock(mutex_);
  BOBBY_TRY(Transaction transaction, Transaction::begin(database_, Transaction::Kind::kWrite));
  BOBBY_TRY(auto post, one_post(database_, kBeginAgain, id, now));
  BOBBY_CHECK(transaction.commit());
  return post;
}

Result<bool> SqliteOutbox::posted(std::int64_t id, std::string_view uri, std::string_view cid,
                                  Moment now) {
  const std::lock_guard lock(mutex_);
  BOBBY_TRY(Transaction transaction, Transaction::begin(database_, Transaction::Kind::kWrite));
  BOBBY_TRY(const auto post, one_post(database_, kPosted, id, uri, cid, now));
  if (!post) return false;
  BOBBY_CHECK(set_draft_status(post->draft_id, "posted"));
  BOBBY_CHECK(decide({post->draft_id, "posted", std::string(uri), post->text, now}));
  BOBBY_CHECK(transaction.commit());
  return true;
}

Result<bool> SqliteOutbox::refused(const OutboxPost& post, std::string_view problem, Moment now) {
  const std::lock_guard lock(mutex_);
  BOBBY_TRY(Transaction transaction, Transaction::begin(database_, Transaction::Kind::kWrite));
  BOBBY_TRY(const auto changed, one_post(database_, kRefused, post.id, problem, post.attempts));
  if (!changed) return false;
  BOBBY_CHECK(decide({changed->draft_id, "refused", std::string(problem), changed->text, now}));
  BOBBY_CHECK(transaction.commit());
  return true;
}

Result<bool> SqliteOutbox::postpone(const OutboxPost& post, std::string_view problem,
                                    Moment not_before) {
  const std::lock_guard lock(mutex_);
  BOBBY_TRY(Transaction transaction, Transaction::begin(database_, Transaction::Kind::kWrite));
  BOBBY_TRY(const auto changed,
            one_post(database_, kPostpone, post.id, problem, not_before, post.attempts));
  BOBBY_CHECK(transaction.commit());
  return changed.has_value();
}

Result<void> SqliteOutbox::unknown(std::int64_t id, std::string_view problem, Moment not_before) {
  const std::lock_guard lock(mutex_);
  return execute(database_,
                 "UPDATE outbox SET problem = ?2, not_before = ?3 WHERE id = ?1 AND state = 1", id,
                 problem, not_before);
}

Result<std::vector<Decision>> SqliteOutbox::decisions(std::int64_t limit) {
  const std::lock_guard lock(mutex_);
  return rows(
      database_,
      "SELECT draft_id, decision, reason, text, at FROM decisions ORDER BY id DESC LIMIT ?1",
      decision_of, limit);
}

Result<Moment> SqliteOutbox::handled_until(std::string_view account) {
  const std::lock_guard lock(mutex_);
  BOBBY_TRY(const auto found,
            rows(
                database_, "SELECT handled_until FROM accounts WHERE account = ?1",
                [](const Run& run) { return run.number(0); }, account));
  return found.empty() ? 0 : found.front();
}

Result<void> SqliteOutbox::write_handled(std::string_view account, Moment moment) {
  return execute(database_, kHandled, account, moment);
}

Result<void> SqliteOutbox::handle_until(std::string_view account, Moment moment) {
  const std::lock_guard lock(mutex_);
  return write_handled(account, moment);
}

Result<Outbox::Pause> SqliteOutbox::pause(std::string_view account) {
  const std::lock_guard lock(mutex_);
  BOBBY_TRY(std::vector<Pause> found,
            rows(
                database_, "SELECT paused_until, pause_reason FROM accounts WHERE account = ?1",
                [](const Run& run) {
                  return Pause{run.number(0), run.text(1)};
                },
                account));
  return found.empty() ? Pause{} : std::move(found.front());
}

Result<void> SqliteOutbox::set_pause(std::string_view account, const Pause& pause) {
  const std::lock_guard lock(mutex_);
  return execute(database_, kPause, account, pause.until, std::string_view(pause.reason));
}

Result<void> SqliteOutbox::resume(std::string_view account, Moment now) {
  const std::lock_guard lock(mutex_);
  BOBBY_TRY(Transaction transaction, Transaction::begin(database_, Transaction::Kind::kWrite));
  BOBBY_CHECK(execute(database_,
                      "UPDATE accounts SET paused_until = 0, pause_reason = '', "
                      "handled_until = min(handled_until, ?2) WHERE account = ?1",
                      account, now));
  BOBBY_CHECK(execute(database_,
                      "UPDATE outbox SET not_before = min(not_before, ?2), "
                      "tried_at = min(tried_at, ?2) WHERE account = ?1",
                      account, now));
  return transaction.commit();
}

Result<bool> SqliteOutbox::hold_lease(std::string_view name, std::string_view owner, Moment now,
                                      Moment until) {
  const std::lock_guard lock(mutex_);
  BOBBY_TRY(const auto held,
            rows(
                database_, kLease, [](const Run&) { return true; }, name, owner, now, until));
  return !held.empty();
}

Result<void> SqliteOutbox::end_lease(std::string_view name, std::string_view owner) {
  const std::lock_guard lock(mutex_);
  return execute(database_, "DELETE FROM leases WHERE name = ?1 AND owner = ?2", name, owner);
}

}  // namespace bobby::store
