#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "base/result.h"
#include "bot/post_target.h"
#include "store/outbox.h"

namespace bobby::bot {

using store::Moment;

/// What became of one post.
struct PublishStep {
  enum class Kind : std::uint8_t {
    kNothing,    ///< there was none to deal with
    kPosted,     ///< it is on the server
    kRefused,    ///< it never will be: a person must look
    kPostponed,  ///< it is not on the server; it is tried again, not before `again`
    kUnknown,    ///< nobody knows; the server is asked again, not before `again`
    kNoAccount,  ///< postponed or unknown, and nothing of this account can be posted for now
  };
  Kind kind = Kind::kNothing;
  store::OutboxPost post = {};
  std::string detail = {};  ///< one clause: why
  Moment again = 0;
};

/// Takes approved posts to a server, each exactly once. The record's key is fixed and the state is
/// on the disk before a request leaves; what became of a request that was not answered is asked of
/// the server before anything else is sent. It holds no state of its own: it may die anywhere, and
/// several may work on one store.
class Publisher {
 public:
  /// The record of a post that is sent for the first time at `now`. An error that may_pass() makes
  /// the post wait; with another it is refused.
  using MakeRecord = std::function<Result<std::string>(const store::OutboxPost& post, Moment now)>;

  /// All must outlive this.
  Publisher(store::Outbox& outbox, PostTarget& target, std::string account, MakeRecord make_record)
      : outbox_(&outbox),
        target_(&target),
        account_(std::move(account)),
        make_record_(std::move(make_record)) {}

  /// Finds out what became of the oldest post that is being sent, if its moment has come. One that
  /// the server does not have is sent again when `may_post`, and waits else. Errors are the
  /// store's.
  Result<PublishStep> settle(Moment now, bool may_post);

  /// Sends the oldest approved post that was not tried yet, in the slot `handled` if that is given,
  /// which is used up by it.
  Result<PublishStep> publish(Moment now, std::optional<Moment> handled = std::nullopt);
  /// Sends the oldest approved post that was tried before, if its moment has come.
  Result<PublishStep> publish_again(Moment now);

  /// Sends this one. kNothing: it is not approved any more.
  Result<PublishStep> publish(const store::OutboxPost& post, Moment now,
                              std::optional<Moment> handled = std::nullopt);

 private:
  /// Whether a request of before may have reached the server, or still reach it.
  enum class Doubt : std::uint8_t { kNone, kEarlierRequest };

  /// A post whose record cannot be made yet: as one whose try failed, so that its slot is used.
  Result<PublishStep> wait_for_record(const store::OutboxPost& post, std::string problem,
                                      Moment now, std::optional<Moment> handled);
  Result<PublishStep> send(store::OutboxPost post, Moment now, Doubt doubt);
  Result<PublishStep> found(store::OutboxPost post, const FindAnswer& answer, Moment now);
  Result<PublishStep> refuse(store::OutboxPost post, std::string problem, Moment now);
  Result<PublishStep> postpone(store::OutboxPost post, std::string problem, Moment again);
  Result<PublishStep> remain_unknown(store::OutboxPost post, std::string problem, Moment again);

  store::Outbox* outbox_;
  PostTarget* target_;
  std::string account_;
  MakeRecord make_record_;
};

/// How long to wait after `attempts` tries that failed: 5 s, doubled each time, 15 minutes at most;
/// what a server asks for where that is more, up to a day.
std::chrono::milliseconds retry_wait(std::int64_t attempts,
                                     std::optional<std::chrono::milliseconds> asked);

}  // namespace bobby::bot
