// bobby bot login: a session of a Bluesky account.

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "app/bot/account.h"
#include "app/bot/setup.h"
#include "bluesky/labels.h"
#include "cli/bot_shared.h"
#include "cli/command.h"
#include "cli/password.h"

namespace bobby::cli {
namespace {

Result<int> run(const Invocation& invocation) {
  const Settings& settings = invocation.settings;
  Console& console = invocation.console;
  const std::string& who = invocation.arguments.front();
  // Before a password is asked for: it would be in vain.
  BOBBY_TRY(const BotStore store, open_bot_store(settings));
  BOBBY_TRY(const std::string password, ask_password(settings, who));
  BOBBY_TRY(const auto account, BotAccount::log_in(settings, who, password, interruptible()));
  const bluesky::Account& is = account->account();
  // What stopped posting may have been the session.
  BOBBY_CHECK(store.outbox->set_pause(is.did, {}));
  bool labelled = false;
  if (settings.flag(Opt::kLabel)) {
    BOBBY_TRY(labelled, bluesky::set_self_label(account->repository(), bluesky::kBotLabel, true));
  }
  if (console.json()) {
    console.print_json(
        {{"did", is.did}, {"handle", is.handle}, {"service", is.service}, {"labelled", labelled}});
    return kDone;
  }
  console.print(fmt::format("logged in as {} ({}) at {}", is.handle, is.did, is.service));
  if (labelled) console.note("the profile is labelled as a bot's now");
  return kDone;
}

constexpr Argument kArguments[] = {{"HANDLE", true, "The account: alice.bsky.social, or its DID"}};
constexpr Opt kOptions[] = {Opt::kBotService, Opt::kPlc, Opt::kPasswordFile, Opt::kLabel,
                            Opt::kDrafts};
constexpr Example kExamples[] = {
    {"bobby bot login alice.bsky.social", "asks for an app password, unseen"},
    {"bobby bot login alice.bsky.social --label", "and marks the profile as a bot's"},
    {"bobby bot login alice.test --service http://localhost:2583 --password-file -",
     "at a server under test, with the password from stdin"},
};

}  // namespace

const Command kBotLogin = {
    .group = "bot",
    .name = "login",
    .summary = "log in to a Bluesky account",
    .description =
        "Logs in with an app password (from Bluesky's settings) and keeps the session, which is "
        "renewed from then on; the password is not kept. It is never an argument: other people on "
        "the machine could read it. Servers allow few logins a day, so where a session is there "
        "and can be renewed, that is done instead.",
    .arguments = kArguments,
    .options = kOptions,
    .examples = kExamples,
    .run = run,
};

}  // namespace bobby::cli
