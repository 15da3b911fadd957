#include "store/draft_outbox.h"

#include <fmt/format.h>

#include "store/outbox.h"

namespace bobby::store {
namespace {

// Whether the last decision about a draft was to send it elsewhere.
Result<bool> is_elsewhere(Database& database, std::int64_t draft_id) {
  BOBBY_TRY(const Statement last,
            database.prepare("SELECT decision FROM decisions WHERE draft_id = ?1 "
                             "ORDER BY id DESC LIMIT 1"));
  Run run(database, last);
  BOBBY_TRY(const bool found, run.bind(1, draft_id).next());
  return found && (run.text(0) == kHandingOver || run.text(0) == kHandedOver);
}

}  // namespace

Result<void> follow_draft(Database& database, std::int64_t draft_id, const DraftAct& act) {
  if (act.approves) {
    BOBBY_TRY(const bool elsewhere, is_elsewhere(database, draft_id));
    if (elsewhere)
      return fail({.code = ErrorCode::kUsage,
                   .where = fmt::format("draft {}", draft_id),
                   .problem = "was sent to Bluesky's own drafts",
                   .hint = "throw it away there, and make it a draft again here first"});
  }
  OutboxState state{};
  std::string problem;
  {
    BOBBY_TRY(const Statement find,
              database.prepare("SELECT state, problem FROM outbox WHERE draft_id = ?1"));
    Run run(database, find);
    BOBBY_TRY(const bool found, run.bind(1, draft_id).next());
    if (!found) return {};
    state = static_cast<OutboxState>(run.number(0));
    problem = run.text(1);
  }
  if (state == OutboxState::kPosted) {
    if (!act.changes_text && (act.becomes_posted || !act.leaves_approved)) return {};
    return fail({.code = ErrorCode::kUsage,
                 .where = fmt::format("draft {}", draft_id),
                 .problem = "was posted",
                 .hint = "copy its text into a new draft"});
  }
  if (state == OutboxState::kRefused && act.approves && !act.changes_text)
    return fail({.code = ErrorCode::kUsage,
                 .where = fmt::format("draft {}", draft_id),
                 .problem = "was refused: " + problem,
                 .hint = "change its text, or make it a draft again first"});
  if (!act.changes_text && !act.leaves_approved && !act.removes) return {};
  if (state == OutboxState::kSending)
    return fail({.code = ErrorCode::kBusy,
                 .where = fmt::format("draft {}", draft_id),
                 .problem = "is being posted",
                 .hint = "wait until it is known whether it was"});
  BOBBY_TRY(const Statement remove, database.prepare("DELETE FROM outbox WHERE draft_id = ?1"));
  BOBBY_CHECK(Run(database, remove).bind(1, draft_id).next());
  return {};
}

}  // namespace bobby::store
