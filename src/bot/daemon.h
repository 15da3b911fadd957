#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "base/result.h"
#include "bot/publisher.h"
#include "bot/schedule/schedule.h"
#include "store/outbox.h"

namespace bobby::bot {

/// Something a person may want to know, as it happens.
struct BotEvent {
  enum class Kind : std::uint8_t {
    kPosted,
    kRefused,
    kPostponed,
    kUnknown,
    kNoAccount,
    kDropped,  ///< a slot that will not be used, and why
    kEmpty,    ///< a slot came and nothing was approved
    kHeld,     ///< a slot waits: quiet hours, or a cap
    kNote
  };
  Kind kind = Kind::kNote;
  std::string text;           ///< one sentence
  std::int64_t draft_id = 0;  ///< of the post; 0: none
  std::string uri = {};       ///< kPosted
};
/// "posted", "refused", ...
std::string_view event_name(BotEvent::Kind kind);

/// Posts what is approved when the schedule says so, and sees to what was left over: whatever was
/// being sent is settled first, posts whose tries failed go out as soon as they may. It keeps
/// nothing in memory that matters.
class Daemon {
 public:
  /// A key for the record of a post that is approved at `now`.
  using MakeKey = std::function<std::string(Moment now)>;
  /// What there is for a slot when nothing was approved.
  enum class Supplied : std::uint8_t {
    kNothing,
    kApproved,  ///< now something is
    kLater,     ///< it is being written: the slot waits, and is asked for again in a second
  };
  using Supply = std::function<Result<Supplied>(Moment now)>;

  struct Parts {
    store::Outbox& outbox;
    Publisher& publisher;
    const Schedule& schedule;
    std::string account;
    MakeKey make_key;
    std::function<void(const BotEvent&)> report;
    Supply supply = {};
  };
  explicit Daemon(Parts parts) : parts_(std::move(parts)) {}

  /// Does what there is to do at `now`; returns when there may be more, always later than `now`.
  /// Errors are the store's (a full disk, say): nothing is lost by calling again.
  Result<Moment> step(Moment now);

 private:
  Result<void> give_keys(Moment now);
  /// When posts went out of late, for the caps; `except` is left out: it does not stand in its own
  /// way.
  Result<std::vector<TimePoint>> posted_before(Moment now, const store::OutboxPost* except) const;
  /// From when on a post may go out, `now` at the earliest.
  Result<Moment> allowed_from(Moment now, const store::OutboxPost* except) const;
  /// Whether everything that was being sent is settled.
  Result<bool> settle(Moment now, Moment& again);
  /// Whether there was one to be tried again.
  Result<bool> repeat(Moment now, Moment& again);
  /// Whether what fires has fired, and the slots up to plan.handled_until are done with.
  Result<bool> use_slots(const Plan& plan, Moment now, Moment& again);
  void report_what_waits(const Plan& plan);
  Result<Supplied> supply(Moment now);
  /// Whether there was a post for it.
  Result<bool> use_slot(const Slot& slot, Moment now, Moment& again);
  /// Reports a step, pauses the account when that is at fault, and notes when to look again.
  Result<void> took(const PublishStep& step, Moment now, Moment& again);
  void report(BotEvent event) const;
  void report_once(BotEvent event);

  Parts parts_;
  std::string last_once_;  // what was said last and need not be said again
};

}  // namespace bobby::bot
