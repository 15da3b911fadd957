#include "bot/publisher.h"

#include <algorithm>
#include <utility>

#include "bot/post_maker.h"

namespace bobby::bot {

using store::OutboxPost;
using Kind = PublishStep::Kind;

namespace {

using std::chrono::milliseconds;

constexpr milliseconds kFirstWait = std::chrono::seconds(5);
constexpr milliseconds kLongestWait = std::chrono::minutes(15);
constexpr milliseconds kLongestServerWait = std::chrono::hours(24);

milliseconds server_wait(std::optional<milliseconds> asked) {
  return std::clamp(asked.value_or(milliseconds(0)), milliseconds(0), kLongestServerWait);
}

}  // namespace

milliseconds retry_wait(std::int64_t attempts, std::optional<milliseconds> asked) {
  const auto doublings = std::clamp<std::int64_t>(attempts - 1, 0, 8);
  return std::max(std::min(kFirstWait * (1 << doublings), kLongestWait), server_wait(asked));
}

Result<PublishStep> Publisher::settle(Moment now, bool may_post) {
  BOBBY_TRY(auto post, outbox_->sending(account_));
  if (!post) return PublishStep{};
  // Without a record nothing was ever sent: see wait_for_record().
  if (post->record.empty()) return postpone(*std::move(post), "its record was not made", now);
  if (now < post->not_before)
    return PublishStep{Kind::kUnknown, *post, post->problem, post->not_before};
  const FindAnswer answer = target_->find(post->record_key);
  // As long again as it has been in doubt, which doubles from one question to the next.
  const Moment doubt = std::clamp(now - post->tried_at, kFirstWait.count(), kLongestWait.count());
  const Moment again = now + std::max(doubt, server_wait(answer.wait).count());
  switch (answer.kind) {
    case FindAnswer::Kind::kThere: return found(*std::move(post), answer, now);
    case FindAnswer::Kind::kUnknown: return remain_unknown(*std::move(post), answer.problem, again);
    case FindAnswer::Kind::kNoAccount: {
      BOBBY_TRY(PublishStep step, remain_unknown(*std::move(post), answer.problem, again));
      if (step.kind == Kind::kUnknown) step.kind = Kind::kNoAccount;
      return step;
    }
    case FindAnswer::Kind::kNotThere: break;
  }
  if (!may_post) return remain_unknown(*std::move(post), "waits until posting is allowed", now);
  BOBBY_TRY(auto begun, outbox_->begin_again(post->id, now));
  if (!begun) return PublishStep{};
  // A request of before may still be under way: no answer to this one proves that it is not there.
  return send(*std::move(begun), now, Doubt::kEarlierRequest);
}

Result<PublishStep> Publisher::publish(Moment now, std::optional<Moment> handled) {
  BOBBY_TRY(const auto post, outbox_->next(account_, now, store::Tried::kNever));
  if (!post) return PublishStep{};
  return publish(*post, now, handled);
}

Result<PublishStep> Publisher::publish_again(Moment now) {
  BOBBY_TRY(const auto post, outbox_->next(account_, now, store::Tried::kBefore));
  if (!post) return PublishStep{};
  return publish(*post, now);
}

Result<PublishStep> Publisher::publish(const OutboxPost& post, Moment now,
                                       std::optional<Moment> handled) {
  std::string record = post.record;
  if (record.empty()) {
    auto made = make_record_(post, now);
    if (!made && may_pass(made.error()))
      return wait_for_record(post, made.error().to_string(), now, handled);
    if (!made) return refuse(post, made.error().to_string(), now);
    record = *std::move(made);
  }
  BOBBY_TRY(auto begun, outbox_->begin(post.id, record, now, handled));
  if (!begun) return PublishStep{};
  return send(*std::move(begun), now, Doubt::kNone);
}

Result<PublishStep> Publisher::wait_for_record(const OutboxPost& post, std::string problem,
                                               Moment now, std::optional<Moment> handled) {
  BOBBY_TRY(auto begun, outbox_->begin(post.id, "", now, handled));
  if (!begun) return PublishStep{};
  const Moment again = now + retry_wait(begun->attempts, std::nullopt).count();
  return postpone(*std::move(begun), std::move(problem), again);
}

Result<PublishStep> Publisher::send(OutboxPost post, Moment now, Doubt doubt) {
  CreateAnswer answer = target_->create(post.record_key, post.record);
  if (doubt == Doubt::kEarlierRequest && answer.kind == CreateAnswer::Kind::kRefused) {
    // The earlier request held the same record, so it was refused as well, or else it arrived.
    const FindAnswer there = target_->find(post.record_key);
    if (there.kind == FindAnswer::Kind::kThere) return found(std::move(post), there, now);
    if (there.kind != FindAnswer::Kind::kNotThere) answer.kind = CreateAnswer::Kind::kUnknown;
  }
  if (doubt == Doubt::kEarlierRequest && answer.kind == CreateAnswer::Kind::kNotNow)
    answer.kind = CreateAnswer::Kind::kUnknown;
  const Moment again = now + retry_wait(post.attempts, answer.wait).count();
  switch (answer.kind) {
    case CreateAnswer::Kind::kCreated:
      return found(std::move(post), {FindAnswer::Kind::kThere, answer.uri, answer.cid}, now);
    case CreateAnswer::Kind::kRefused: return refuse(std::move(post), answer.problem, now);
    case CreateAnswer::Kind::kNotNow: return postpone(std::move(post), answer.problem, again);
    case CreateAnswer::Kind::kNoAccount: {
      BOBBY_TRY(PublishStep step, doubt == Doubt::kNone
                                      ? postpone(std::move(post), answer.problem, again)
                                      : remain_unknown(std::move(post), answer.problem, again));
      if (step.kind != Kind::kNothing) step.kind = Kind::kNoAccount;
      return step;
    }
    case CreateAnswer::Kind::kUnknown: break;
  }
  return remain_unknown(std::move(post), answer.problem, again);
}

Result<PublishStep> Publisher::found(OutboxPost post, const FindAnswer& answer, Moment now) {
  if (!answer.record.empty() && !target_->same(answer.record, post.record))
    return refuse(std::move(post), "another record stands under its key: " + answer.uri, now);
  BOBBY_CHECK(outbox_->posted(post.id, answer.uri, answer.cid, now));
  BOBBY_TRY(auto kept, outbox_->get(post.id));
  if (kept) post = *std::move(kept);
  return PublishStep{Kind::kPosted, std::move(post), answer.uri, 0};
}

Result<PublishStep> Publisher::refuse(OutboxPost post, std::string problem, Moment now) {
  BOBBY_TRY(const bool done, outbox_->refused(post, problem, now));
  if (!done) return PublishStep{};
  return PublishStep{Kind::kRefused, std::move(post), std::move(problem), 0};
}

Result<PublishStep> Publisher::postpone(OutboxPost post, std::string problem, Moment again) {
  BOBBY_TRY(const bool done, outbox_->postpone(post, problem, again));
  if (!done) return PublishStep{};
  return PublishStep{Kind::kPostponed, std::move(post), std::move(problem), again};
}

Result<PublishStep> Publisher::remain_unknown(OutboxPost post, std::string problem, Moment again) {
  BOBBY_CHECK(outbox_->unknown(post.id, problem, again));
  return PublishStep{Kind::kUnknown, std::move(post), std::move(problem), again};
}

}  // namespace bobby::bot
