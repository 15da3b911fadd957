// bobby bot post: one approved draft, now.

#include <algorithm>
#include <chrono>
#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <optional>

#include "app/bot/poster.h"
#include "cli/bot_shared.h"
#include "cli/command.h"
#include "cli/post_options.h"

namespace bobby::cli {
namespace {

using bot::PublishStep;
using store::Moment;
using store::OutboxPost;
using store::OutboxState;

// How long someone at a terminal waits for what is in doubt, or postponed; the daemon goes on.
constexpr Moment kPatience = 45'000;

tl::unexpected<Error> not_postable(std::int64_t draft, std::string problem, std::string hint) {
  return fail({.code = ErrorCode::kUsage,
               .where = fmt::format("draft {}", draft),
               .problem = std::move(problem),
               .hint = std::move(hint)});
}

// What is under way, or else the oldest that is approved; nothing: neither is.
Result<std::optional<OutboxPost>> oldest_post(store::Outbox& outbox, const std::string& did) {
  BOBBY_TRY(auto post, outbox.sending(did));
  for (const store::Tried tried : {store::Tried::kBefore, store::Tried::kNever}) {
    if (post) break;
    BOBBY_TRY(post, outbox.next(did, moment_now(), tried));
  }
  return post;
}

// A draft, and its post if it has one.
struct Wanted {
  std::int64_t draft = 0;
  std::optional<OutboxPost> post;
};

// What is asked for: an ID's, or the oldest post, or the oldest draft that was approved on the
// page, where no account is known, and that has no key for that.
Result<Wanted> wanted_post(const Invocation& invocation, Poster& poster) {
  if (!invocation.arguments.empty()) {
    BOBBY_TRY(const std::int64_t id, draft_number(invocation.arguments.front()));
    BOBBY_TRY(auto post, poster.outbox().of_draft(id));
    return Wanted{id, std::move(post)};
  }
  BOBBY_TRY(auto post, oldest_post(poster.outbox(), poster.did()));
  if (post) return Wanted{post->draft_id, std::move(post)};
  BOBBY_TRY(const auto without_key, poster.outbox().without_key());
  if (!without_key.empty()) return Wanted{without_key.front(), std::nullopt};
  return fail({.code = ErrorCode::kNotFound,
               .problem = "nothing is approved",
               .hint = "`bobby bot review` shows what waits"});
}

// The post to send. A draft that was approved on the page gets its key now.
Result<OutboxPost> chosen_post(const Invocation& invocation, Poster& poster) {
  BOBBY_TRY(Wanted wanted, wanted_post(invocation, poster));
  if (wanted.post && wanted.post->account != poster.did())
    return not_postable(wanted.draft, "is approved for another account: " + wanted.post->account,
                        "use --account");
  if (wanted.post) return *std::move(wanted.post);
  BOBBY_TRY(const store::Draft draft, bot::draft_of(*poster.store().drafts, wanted.draft));
  if (draft.status != "approved")
    return not_postable(wanted.draft, "is not approved",
                        fmt::format("`bobby bot approve {}` does that", wanted.draft));
  BOBBY_TRY(bot::Approval approval, poster.approver().approve(wanted.draft, moment_now()));
  return std::move(approval.post);
}

// The record that would be sent: of a draft, too, that nobody approved yet.
Result<int> dry_run(const Invocation& invocation) {
  Console& console = invocation.console;
  const auto note = [&console](const std::string& text) { console.note(text); };
  BOBBY_TRY(const auto poster, Poster::open(invocation.settings, interruptible(), note));
  BOBBY_TRY(const Wanted wanted, wanted_post(invocation, *poster));
  const auto& [id, post] = wanted;
  std::string record = post ? post->record : "";
  if (record.empty()) {
    BOBBY_TRY(const store::Draft draft, bot::draft_of(*poster->store().drafts, id));
    auto made = poster->maker().record(post ? post->text : draft.text, moment_now());
    if (!made) return fail(std::move(made).error().in(fmt::format("draft {}", id)));
    record = *std::move(made);
  }
  if (!console.json()) {
    console.print(record);
    return kDone;
  }
  nlohmann::ordered_json object = {{"draft", id}, {"account", poster->did()}};
  object["record_key"] = post ? nlohmann::ordered_json(post->record_key) : nullptr;
  object["state"] = post ? store::outbox_state_name(post->state) : "draft";
  object["record"] = nlohmann::ordered_json::parse(record);
  console.print_json(object);
  return kDone;
}

// Sends it, and asks and sends again while there is patience.
Result<PublishStep> post_now(Poster& poster, const OutboxPost& wanted, Console& console) {
  const net::Watch watch = interruptible();
  const Moment end = moment_now() + kPatience;
  for (;;) {
    // Whatever is under way comes first; it may be this very one.
    BOBBY_TRY(PublishStep step, poster.publisher().settle(moment_now(), true));
    BOBBY_TRY(const auto post, poster.outbox().get(wanted.id));
    if (!post) return not_postable(wanted.draft_id, "is no longer approved", "");
    if (post->state == OutboxState::kApproved && step.kind != PublishStep::Kind::kNoAccount) {
      BOBBY_TRY(step, poster.publisher().publish(*post, moment_now()));
    } else if (post->state == OutboxState::kPosted) {
      return PublishStep{PublishStep::Kind::kPosted, *post, post->uri, 0};
    } else if (post->state == OutboxState::kRefused) {
      return PublishStep{PublishStep::Kind::kRefused, *post, post->problem, 0};
    }
    const bool may_change = step.kind == PublishStep::Kind::kPostponed ||
                            step.kind == PublishStep::Kind::kUnknown ||
                            step.kind == PublishStep::Kind::kNothing;
    const Moment again = std::max(step.again, moment_now() + 1000);
    if (!may_change || again > end) return step;
    if (step.kind != PublishStep::Kind::kNothing)
      console.note(
          fmt::format("{}; once more in {} s", step.detail, (again - moment_now() + 999) / 1000));
    net::wait(std::chrono::milliseconds(again - moment_now()), watch);
  }
}

Error why_not(const PublishStep& step, std::int64_t draft) {
  const std::string where = fmt::format("draft {}", draft);
  switch (step.kind) {
    case PublishStep::Kind::kRefused:
      return {.code = ErrorCode::kUsage,
              .where = where,
              .problem = "is refused: " + step.detail,
              .hint = "change its text, and approve it again"};
    case PublishStep::Kind::kNoAccount:
      return {.code = ErrorCode::kUsage,
              .where = where,
              .problem = "waits, since the account cannot post: " + step.detail};
    case PublishStep::Kind::kUnknown:
      return {.code = ErrorCode::kTimeout,
              .where = where,
              .problem = "may or may not have been posted: " + step.detail,
              .hint = "`bobby bot post` or `bobby bot run` asks again; nothing is posted twice"};
    default:
      return {.code = ErrorCode::kBusy,
              .where = where,
              .problem = "was not posted: " + step.detail,
              .hint = "it stays approved"};
  }
}

Result<int> run(const Invocation& invocation) {
  if (invocation.settings.flag(Opt::kDryRun)) return dry_run(invocation);
  Console& console = invocation.console;
  const auto note = [&console](const std::string& text) { console.note(text); };
  BOBBY_TRY(const auto poster, Poster::open(invocation.settings, interruptible(), note));
  BOBBY_TRY(const OutboxPost wanted, chosen_post(invocation, *poster));
  if (wanted.state == OutboxState::kPosted)
    console.note(fmt::format("draft {} was posted already", wanted.draft_id));
  BOBBY_TRY(const PublishStep step, post_now(*poster, wanted, console));
  if (step.kind != PublishStep::Kind::kPosted) return fail(why_not(step, wanted.draft_id));
  BOBBY_TRY(const auto post, poster->outbox().get(wanted.id));
  if (console.json())
    console.print_json(outbox_json(post ? *post : step.post));
  else
    console.print(step.detail);
  return kDone;
}

constexpr Argument kArguments[] = {
    {"ID", false, "A draft's number; without one, the oldest that is approved"}};
constexpr auto kOptions =
    joined(joined(std::array{Opt::kDryRun, Opt::kCard}, kBotOptions), kTextRuleOptions);
constexpr Example kExamples[] = {
    {"bobby bot post", "the oldest approved draft; prints its address"},
    {"bobby bot post 12 --dry-run", "the exact record of draft 12; nothing is sent"},
};

}  // namespace

const Command kBotPost = {
    .group = "bot",
    .name = "post",
    .summary = "post one approved draft now",
    .description =
        "Posts a draft that is approved, whatever the schedule says. It is posted once: its "
        "record's key was fixed at approval, and after an answer that never came the server is "
        "asked what it has before anything is sent again.",
    .arguments = kArguments,
    .options = kOptions,
    .examples = kExamples,
    .run = run,
};

}  // namespace bobby::cli
