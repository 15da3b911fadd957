#pragma once

#include <cstdint>
#include <string_view>

#include "base/result.h"
#include "store/sqlite.h"

namespace bobby::store {

/// The decisions about a draft that leaves for a queue elsewhere: see Outbox::begin_handover().
inline constexpr std::string_view kHandingOver = "handing over";
inline constexpr std::string_view kHandedOver = "handed over";

/// What someone does to a draft, as far as its place in the outbox goes.
struct DraftAct {
  bool changes_text = false;
  bool approves = false;         ///< its status is to be "approved"
  bool leaves_approved = false;  ///< its status becomes another than "approved"
  bool becomes_posted = false;   ///< its status becomes "posted"
  bool removes = false;
};

/// Makes the outbox follow, within the caller's transaction: a post that was not sent leaves it.
/// kBusy: the draft is being posted; kUsage: it was posted, and stays what was posted, or it was
/// refused, and is approved as it is.
Result<void> follow_draft(Database& database, std::int64_t draft_id, const DraftAct& act);

}  // namespace bobby::store
