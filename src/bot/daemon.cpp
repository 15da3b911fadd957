#include "bot/daemon.h"

#include <algorithm>
#include <chrono>
#include <fmt/format.h>
#include <utility>
#include <vector>

namespace bobby::bot {

using Kind = PublishStep::Kind;
using std::chrono::milliseconds;

namespace {

constexpr Moment kSecond = 1000;
constexpr Moment kMinute = 60 * kSecond;
constexpr Moment kHour = 60 * kMinute;
// An account that cannot post is not asked more often than this: servers count logins.
constexpr Moment kAccountWait = 5 * kMinute;
// What the caps may count: a day of any zone, and a clock that was wrong.
constexpr Moment kPostedBefore = 50 * kHour;
// Approvals made elsewhere are seen this soon.
constexpr Moment kLongestRest = kHour;

TimePoint time_of(Moment moment) {
  return std::chrono::floor<std::chrono::seconds>(
      std::chrono::sys_time<milliseconds>(milliseconds(moment)));
}

Moment moment_of(TimePoint time) {
  return std::chrono::duration_cast<milliseconds>(time.time_since_epoch()).count();
}

BotEvent::Kind event_of(Kind kind) {
  switch (kind) {
    case Kind::kPosted: return BotEvent::Kind::kPosted;
    case Kind::kRefused: return BotEvent::Kind::kRefused;
    case Kind::kPostponed: return BotEvent::Kind::kPostponed;
    case Kind::kUnknown: return BotEvent::Kind::kUnknown;
    case Kind::kNoAccount: return BotEvent::Kind::kNoAccount;
    case Kind::kNothing: break;
  }
  return BotEvent::Kind::kNote;
}

std::string sentence_of(const PublishStep& step, Moment now) {
  const std::int64_t draft = step.post.draft_id;
  const Moment wait = (step.again - now + 999) / 1000;
  switch (step.kind) {
    case Kind::kPosted: return fmt::format("draft {} was posted: {}", draft, step.detail);
    case Kind::kRefused: return fmt::format("draft {} was refused: {}", draft, step.detail);
    case Kind::kPostponed:
      return fmt::format("draft {} was not posted: {}; tried again in {} s", draft, step.detail,
                         wait);
    case Kind::kUnknown:
      return fmt::format("whether draft {} was posted is not known: {}; asked again in {} s", draft,
                         step.detail, wait);
    case Kind::kNoAccount:
      return fmt::format("draft {} waits, since the account cannot post: {}", draft, step.detail);
    case Kind::kNothing: break;
  }
  return {};
}

}  // namespace

std::string_view event_name(BotEvent::Kind kind) {
  switch (kind) {
    case BotEvent::Kind::kPosted: return "posted";
    case BotEvent::Kind::kRefused: return "refused";
    case BotEvent::Kind::kPostponed: return "postponed";
    case BotEvent::Kind::kUnknown: return "unknown";
    case BotEvent::Kind::kNoAccount: return "no_account";
    case BotEvent::Kind::kDropped: return "dropped";
    case BotEvent::Kind::kEmpty: return "empty";
    case BotEvent::Kind::kHeld: return "held";
    case BotEvent::Kind::kNote: return "note";
  }
  return "";
}

void Daemon::report(BotEvent event) const {
  if (parts_.report) parts_.report(event);
}

void Daemon::report_once(BotEvent event) {
  if (event.text == last_once_) return;
  last_once_ = event.text;
  report(std::move(event));
}

Result<void> Daemon::took(const PublishStep& step, Moment now, Moment& again) {
  if (step.kind == Kind::kNothing) return {};
  report({event_of(step.kind), sentence_of(step, now), step.post.draft_id,
          step.kind == Kind::kPosted ? step.detail : std::string()});
  if (step.again > now) again = std::min(again, step.again);
  if (step.kind != Kind::kNoAccount) return {};
  const Moment until = std::max(step.again, now + kAccountWait);
  return parts_.outbox.set_pause(parts_.account, {until, step.detail});
}

Result<void> Daemon::give_keys(Moment now) {
  BOBBY_TRY(const std::vector<std::int64_t> drafts, parts_.outbox.without_key());
  for (const std::int64_t draft : drafts) {
    auto post = parts_.outbox.approve(draft, parts_.account, parts_.make_key(now), now);
    // Someone else may have been faster, or changed his mind.
    if (!post && post.error().code == ErrorCode::kIo) return fail(std::move(post).error());
  }
  return {};
}

Result<std::vector<TimePoint>> Daemon::posted_before(Moment now,
                                                     const store::OutboxPost* except) const {
  BOBBY_TRY(const std::vector<Moment> moments,
            parts_.outbox.posted_times(parts_.account, now - kPostedBefore));
  std::vector<TimePoint> posted;
  for (const Moment moment : moments) {
    if (except != nullptr && moment == except->tried_at) {
      except = nullptr;
      continue;
    }
    posted.push_back(time_of(moment));
  }
  return posted;
}

Result<Moment> Daemon::allowed_from(Moment now, const store::OutboxPost* except) const {
  BOBBY_TRY(const std::vector<TimePoint> posted, posted_before(now, except));
  const TimePoint allowed = parts_.schedule.allowed_from(time_of(now), posted);
  return allowed <= time_of(now) ? now : moment_of(allowed);
}

Result<bool> Daemon::settle(Moment now, Moment& again) {
  for (;;) {
    BOBBY_TRY(const auto waiting, parts_.outbox.sending(parts_.account));
    if (!waiting) return true;
    if (waiting->not_before > now) {
      again = std::min(again, waiting->not_before);
      return false;
    }
    BOBBY_TRY(const Moment allowed, allowed_from(now, &*waiting));
    BOBBY_TRY(const PublishStep step, parts_.publisher.settle(now, allowed <= now));
    if (step.kind == Kind::kUnknown && step.again <= now) {
      again = std::min(again, allowed);
      return false;
    }
    BOBBY_CHECK(took(step, now, again));
    if (step.kind == Kind::kUnknown || step.kind == Kind::kNoAccount) return false;
  }
}

Result<bool> Daemon::repeat(Moment now, Moment& again) {
  BOBBY_TRY(const auto next_try, parts_.outbox.next_try(parts_.account));
  if (!next_try) return false;
  BOBBY_TRY(const Moment allowed, allowed_from(std::max(now, *next_try), nullptr));
  if (allowed > now) {
    again = std::min(again, allowed);
    return false;
  }
  BOBBY_TRY(const PublishStep step, parts_.publisher.publish_again(now));
  BOBBY_CHECK(took(step, now, again));
  return step.kind != Kind::kNothing;
}

Result<bool> Daemon::use_slot(const Slot& slot, Moment now, Moment& again) {
  BOBBY_TRY(const PublishStep step, parts_.publisher.publish(now, moment_of(slot.due)));
  BOBBY_CHECK(took(step, now, again));
  return step.kind != Kind::kNothing;
}

Result<Daemon::Supplied> Daemon::supply(Moment now) {
  BOBBY_TRY(const auto approved, parts_.outbox.next(parts_.account, now, store::Tried::kNever));
  if (approved) return Supplied::kApproved;
  return parts_.supply ? parts_.supply(now) : Supplied::kNothing;
}

void Daemon::report_what_waits(const Plan& plan) {
  for (const DroppedSlot& dropped : plan.dropped) report({BotEvent::Kind::kDropped, dropped.why});
  if (!plan.held.empty())
    report_once(
        {BotEvent::Kind::kHeld, fmt::format("{} waits: it is a quiet hour, or a cap is reached",
                                            plan.held.front().local)});
}

Result<bool> Daemon::use_slots(const Plan& plan, Moment now, Moment& again) {
  for (const std::string& note : plan.notes) report_once({BotEvent::Kind::kNote, note});
  if (plan.fire.empty()) report_what_waits(plan);
  for (auto slot = plan.fire.begin(); slot != plan.fire.end(); ++slot) {
    BOBBY_TRY(const Supplied supplied, supply(now));
    if (supplied == Supplied::kLater) {
      // Planned again in a second, and so is what would be said of the others.
      report_once({BotEvent::Kind::kHeld,
                   fmt::format("{} waits for a draft that is being written", slot->local)});
      again = std::min(again, now + kSecond);
      return false;
    }
    if (slot == plan.fire.begin()) report_what_waits(plan);
    const bool has_draft = supplied == Supplied::kApproved;
    BOBBY_TRY(const bool used, has_draft ? use_slot(*slot, now, again) : Result<bool>(false));
    if (!used) {
      // Nor is there anything for those behind it, which may be a month's.
      const auto later = plan.fire.end() - slot - 1;
      report({BotEvent::Kind::kEmpty,
              fmt::format("{} came{}, and no draft was approved", slot->local,
                          later > 0 ? fmt::format(", and {} more", later) : "")});
      break;
    }
    BOBBY_TRY(const auto unsettled, parts_.outbox.sending(parts_.account));
    // The slots that are left are planned again once it is known what became of this one.
    if (unsettled) return false;
  }
  return true;
}

Result<Moment> Daemon::step(Moment now) {
  Moment again = now + kLongestRest;
  BOBBY_CHECK(give_keys(now));
  BOBBY_TRY(const store::Outbox::Pause pause, parts_.outbox.pause(parts_.account));
  // A pause that ends in more than two days was set before the clock was set back.
  if (pause.until > now && pause.until < now + 48 * kHour) return std::min(again, pause.until);

  BOBBY_TRY(const bool settled, settle(now, again));
  if (!settled) return std::max(again, now + kSecond);
  BOBBY_TRY(const bool repeated, repeat(now, again));
  // What the caps allow is looked at anew before the next.
  if (repeated) return now + kSecond;

  BOBBY_TRY(const Moment handled, parts_.outbox.handled_until(parts_.account));
  BOBBY_TRY(const std::vector<TimePoint> posted, posted_before(now, nullptr));
  // Before its first step a schedule has missed nothing.
  const Moment since = handled == 0 ? now - kSecond : handled;
  const Plan plan = parts_.schedule.plan(time_of(now), time_of(since), posted);
  BOBBY_TRY(const bool done, use_slots(plan, now, again));
  // Where it does not move on nothing is written: someone may have resumed meanwhile.
  if (const Moment until = moment_of(plan.handled_until); done && until > handled)
    BOBBY_CHECK(parts_.outbox.handle_until(parts_.account, until));
  return std::max(now + kSecond, std::min(again, moment_of(plan.look_again)));
}

}  // namespace bobby::bot
