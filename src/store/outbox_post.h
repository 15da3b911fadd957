#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

namespace bobby::store {

/// Moments here are milliseconds since 1970, UTC, given by the caller, whose clock it is; 0: never.
using Moment = std::int64_t;

/// Where an approved post stands. kSending is written before a request leaves, so that after a
/// crash, or an answer that never came, it reads: nobody knows, ask the server first.
enum class OutboxState : std::uint8_t { kApproved, kSending, kPosted, kRefused };
/// Their names, by their numbers.
inline constexpr std::array<std::string_view, 4> kOutboxStates = {"approved", "sending", "posted",
                                                                  "refused"};
std::string_view outbox_state_name(OutboxState state);

/// Whether a post was tried already, and so has used its slot.
enum class Tried : std::uint8_t { kNever, kBefore };

/// A draft that someone approved, and what became of it. Its account, key and text never change;
/// its record not once it was sent.
struct OutboxPost {
  std::int64_t id = 0;
  std::int64_t draft_id = 0;
  std::string account;     ///< the DID whose repository it goes to
  std::string record_key;  ///< chosen at approval: what makes a second try the same post
  std::string text;
  std::string record;  ///< the JSON that was sent, from the first try on; empty before
  OutboxState state = OutboxState::kApproved;
  std::int64_t attempts = 0;  ///< requests that may have reached the server
  Moment not_before = 0;      ///< no try before this moment
  std::string uri;            ///< posted: "at://did/app.bsky.feed.post/key"
  std::string cid;            ///< posted
  std::string problem;        ///< what went wrong last; empty: nothing
  Moment approved_at = 0;
  Moment sent_at = 0;   ///< the first try
  Moment tried_at = 0;  ///< the last
  Moment posted_at = 0;
  bool operator==(const OutboxPost&) const = default;
};

/// What someone decided about a draft, or became of it, kept for good.
struct Decision {
  std::int64_t draft_id = 0;
  /// "approved", "rejected", "withdrawn", "posted", "refused", "handing over", "handed over"
  std::string decision;
  std::string reason;  ///< may be empty
  std::string text;    ///< the draft's, at that moment
  Moment at = 0;
};

}  // namespace bobby::store
