#include "bot/approval.h"

#include <algorithm>
#include <chrono>
#include <fmt/format.h>
#include <iterator>
#include <utility>

namespace bobby::bot {

using store::Moment;

Result<store::Draft> draft_of(store::DraftStore& drafts, std::int64_t id) {
  BOBBY_TRY(auto draft, drafts.get(id));
  if (draft) return *std::move(draft);
  return fail({.code = ErrorCode::kNotFound,
               .where = fmt::format("draft {}", id),
               .problem = "is not in the store",
               .hint = "`bobby bot review` shows what waits"});
}

std::string Approver::next_key(Moment now) {
  if (!clock_) {
    std::string newest;
    // Without an answer the machine's clock must do; a key that is taken is refused.
    const auto last = outbox_->list({.account = account_, .limit = 1});
    if (last && !last->empty() && bluesky::is_tid(last->front().record_key))
      newest = last->front().record_key;
    clock_.emplace(bluesky::random_clock_id(), newest);
  }
  return clock_->next(std::chrono::system_clock::time_point(std::chrono::milliseconds(now)));
}

Result<Approval> Approver::approve(std::int64_t draft_id, Moment now) {
  constexpr int kMostKeys = 3;
  BOBBY_TRY(const store::Draft draft, draft_of(*drafts_, draft_id));
  auto preview = maker_->preview(draft.text);
  if (!preview) return fail(std::move(preview).error().in(fmt::format("draft {}", draft_id)));
  for (int number = 1;; ++number) {
    auto post = outbox_->approve(draft_id, account_, next_key(now), now);
    if (post) return Approval{*std::move(post), *std::move(preview)};
    if (post.error().code != ErrorCode::kMismatch || number == kMostKeys)
      return fail(std::move(post).error());
  }
}

Result<std::vector<store::Draft>> undecided_drafts(store::DraftStore& drafts) {
  std::vector<store::Draft> all;
  store::DraftQuery query{.status = "draft", .limit = 200};
  for (;;) {
    BOBBY_TRY(store::DraftPage page, drafts.list(query));
    std::ranges::move(page.drafts, std::back_inserter(all));
    if (!page.has_more || all.empty()) break;
    query.before = all.back().id;
  }
  std::ranges::reverse(all);
  return all;
}

}  // namespace bobby::bot
