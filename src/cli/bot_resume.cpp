// bobby bot resume: out of a pause, and of what a clock that was ahead has left.

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "app/bot/account.h"
#include "app/bot/setup.h"
#include "cli/bot_shared.h"
#include "cli/command.h"

namespace bobby::cli {
namespace {

using store::Moment;

Result<int> run(const Invocation& invocation) {
  Console& console = invocation.console;
  BOBBY_TRY(const bluesky::SessionData session, chosen_session(invocation.settings));
  BOBBY_TRY(const BotStore store, open_bot_store(invocation.settings));
  const std::string& did = session.account.did;
  BOBBY_TRY(const store::Outbox::Pause pause, store.outbox->pause(did));
  BOBBY_TRY(const Moment handled, store.outbox->handled_until(did));
  const Moment now = moment_now();
  BOBBY_CHECK(store.outbox->resume(did, now));
  const bool was_paused = pause.until > now;
  const bool was_ahead = handled > now;
  if (console.json()) {
    nlohmann::ordered_json json = {{"account", did}};
    if (was_paused) json["pause"] = {{"until", time_text(pause.until)}, {"reason", pause.reason}};
    if (was_ahead) json["handled_until"] = time_text(handled);
    console.print_json(json);
    return kDone;
  }
  if (was_paused)
    console.print(
        fmt::format("the pause until {} is over: {}", time_text(pause.until), pause.reason));
  if (was_ahead)
    console.print(
        fmt::format("times up to {} had been handled, by a clock that was ahead; those "
                    "from now on count again",
                    time_text(handled)));
  console.print(fmt::format("{} goes on{}",
                            session.account.handle.empty() ? did : session.account.handle,
                            was_paused || was_ahead ? "" : "; nothing stood in its way"));
  return kDone;
}

constexpr Example kExamples[] = {
    {"bobby bot resume", "after the clock was a year ahead, and the bot with it"},
    {"bobby bot resume --account alice.bsky.social", "one of several accounts"},
};

}  // namespace

const Command kBotResume = {
    .group = "bot",
    .name = "resume",
    .summary = "let an account post again, after a pause or a clock that was ahead",
    .description =
        "Ends an account's pause, and what a clock that was ahead has left: times of the schedule "
        "that count as handled though they are still to come, tries that wait for a time far off, "
        "posts that fill the caps of another day. A daemon that runs sees it within a minute. "
        "Nothing is posted twice by it.",
    .arguments = {},
    .options = kBotOptions,
    .examples = kExamples,
    .run = run,
};

}  // namespace bobby::cli
