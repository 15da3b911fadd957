#include "bot/handover.h"

#include <algorithm>
#include <fmt/format.h>
#include <iterator>
#include <utility>

#include "bot/approval.h"

namespace bobby::bot {

using bluesky::Outcome;

Result<void> HandoverDesk::look() {
  constexpr int kMostPages = 200;
  std::vector<bluesky::RemoteDraft> found;
  std::string cursor;
  for (int number = 0; number < kMostPages; ++number) {
    BOBBY_TRY(bluesky::DraftPage page, parts_.remote.list(cursor));
    std::ranges::move(page.drafts, std::back_inserter(found));
    cursor = std::move(page.cursor);
    if (cursor.empty()) break;
  }
  there_ = std::move(found);
  return {};
}

Result<std::optional<std::string>> HandoverDesk::find(const std::string& text, bool ask_again) {
  if (!there_ || ask_again) BOBBY_CHECK(look());
  const auto found = std::ranges::find_if(*there_, [&](const bluesky::RemoteDraft& draft) {
    return draft.texts.size() == 1 && draft.texts.front() == text;
  });
  if (found == there_->end()) return std::nullopt;
  return found->id;
}

Result<HandedOver> HandoverDesk::send(std::int64_t draft_id, store::Moment now) {
  const std::string name = fmt::format("draft {}", draft_id);
  BOBBY_TRY(const store::Draft draft, draft_of(parts_.drafts, draft_id));
  auto preview = parts_.maker.preview(draft.text);
  if (!preview) return fail(std::move(preview).error().in(name));
  // Before anything changes: whether the server has drafts at all.
  BOBBY_CHECK(find(preview->filtered, false));
  BOBBY_TRY(const store::Outbox::Handover begun,
            parts_.outbox.begin_handover(draft_id, preview->filtered, now));
  const auto done = [&](std::string id, bool was_there) -> Result<HandedOver> {
    BOBBY_CHECK(parts_.outbox.end_handover(draft_id, "draft " + id, now));
    return HandedOver{draft_id, std::move(id), begun.text, was_there};
  };
  BOBBY_TRY(auto there, find(begun.text, begun.in_doubt));
  if (there) return done(*std::move(there), true);
  bluesky::DraftResult result = parts_.remote.create({begun.text}, parts_.langs);
  if (result.verdict.outcome == Outcome::kDone) return done(std::move(result.id), false);
  if (result.verdict.outcome == Outcome::kUnknown) {
    if (auto found = find(begun.text, true); found && *found) return done(**std::move(found), true);
    return fail({.code = ErrorCode::kTimeout,
                 .where = name,
                 .problem = "may or may not have arrived: " + result.verdict.error.to_string(),
                 .hint = "send it again: what is there is looked at first"});
  }
  // An earlier request may still have arrived, or be about to.
  if (!begun.in_doubt) BOBBY_CHECK(parts_.outbox.undo_handover(draft_id, now));
  return fail(std::move(result.verdict.error).in(name));
}

}  // namespace bobby::bot
