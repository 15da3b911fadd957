#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "bluesky/tid.h"
#include "bot/post_maker.h"
#include "store/draft_store.h"
#include "store/outbox.h"

namespace bobby::bot {

/// A draft that was approved, and what will go out.
struct Approval {
  store::OutboxPost post;
  PostPreview preview;
};

/// Approves drafts for an account: looks at what would go out first, so that a person hears of it
/// while he is there, and chooses the record's key. All that it is given must outlive it.
class Approver {
 public:
  Approver(store::DraftStore& drafts, store::Outbox& outbox, const PostMaker& maker,
           std::string account)
      : drafts_(&drafts), outbox_(&outbox), maker_(&maker), account_(std::move(account)) {}

  /// PostMaker::preview()'s and Outbox::approve()'s errors, with the draft's name.
  Result<Approval> approve(std::int64_t draft_id, store::Moment now);

  /// A key that no post of the account has: later than all, also when the clock was set back.
  std::string next_key(store::Moment now);

 private:
  store::DraftStore* drafts_;
  store::Outbox* outbox_;
  const PostMaker* maker_;
  std::string account_;
  std::optional<bluesky::TidClock> clock_;  // once the newest key so far is known
};

/// The drafts that nobody has decided about, the oldest first.
Result<std::vector<store::Draft>> undecided_drafts(store::DraftStore& drafts);

/// kNotFound: there is no such draft.
Result<store::Draft> draft_of(store::DraftStore& drafts, std::int64_t id);

}  // namespace bobby::bot
