// bobby bot logout: the end of a session.

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "app/bot/account.h"
#include "cli/bot_shared.h"
#include "cli/command.h"

namespace bobby::cli {
namespace {

Result<int> run(const Invocation& invocation) {
  Console& console = invocation.console;
  BOBBY_TRY(const LoggedOut out, log_out(invocation.settings, interruptible()));
  const bluesky::Account& was = out.account;
  if (console.json()) {
    nlohmann::ordered_json json = {{"did", was.did},
                                   {"handle", was.handle},
                                   {"service", was.service},
                                   {"ended_at_server", !out.not_told.has_value()}};
    if (out.not_told) json["problem"] = out.not_told->to_string();
    console.print_json(json);
    return kDone;
  }
  console.print(was.handle.empty()
                    ? fmt::format("logged out of {}", was.did)
                    : fmt::format("logged out of {} ({}) at {}", was.handle, was.did, was.service));
  if (out.not_told)
    console.note(
        fmt::format("its server was not told: {}; revoke the app password in Bluesky's settings if "
                    "anybody else may have the session",
                    out.not_told->to_string()));
  return kDone;
}

constexpr Opt kOptions[] = {Opt::kBotAccount, Opt::kDrafts};
constexpr Example kExamples[] = {
    {"bobby bot logout", "ends the session of the only account"},
    {"bobby bot logout --account alice.bsky.social", "of one of several"},
    {"bobby bot logout --offline", "removes it from this machine without asking the server"},
};

}  // namespace

const Command kBotLogout = {
    .group = "bot",
    .name = "logout",
    .summary = "end the session of a Bluesky account",
    .description =
        "Ends the session at the account's server and removes it from this machine, which is done "
        "also where the server cannot be reached. Nothing else goes: drafts, what is approved and "
        "what was posted stay, and a daemon of the account waits until someone logs in again.",
    .arguments = {},
    .options = kOptions,
    .examples = kExamples,
    .run = run,
};

}  // namespace bobby::cli
