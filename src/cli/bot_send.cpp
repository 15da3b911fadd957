// bobby bot send: drafts to Bluesky's own.

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "app/bot/poster.h"
#include "bluesky/drafts.h"
#include "bot/handover.h"
#include "cli/bot_shared.h"
#include "cli/command.h"
#include "cli/post_options.h"

namespace bobby::cli {
namespace {

void show(Console& console, const bot::HandedOver& sent, const bluesky::Account& account) {
  if (console.json()) {
    console.print_json({{"draft", sent.draft_id},
                        {"account", account.did},
                        {"remote_draft", sent.remote_id},
                        {"text", sent.text},
                        {"was_there", sent.was_there}});
    return;
  }
  console.print(fmt::format("draft {} is among the drafts of {} at Bluesky{}: {}", sent.draft_id,
                            account.handle.empty() ? account.did : account.handle,
                            sent.was_there ? ", and was already" : "", quoted(sent.text)));
}

Result<int> run(const Invocation& invocation) {
  std::vector<std::int64_t> ids;
  for (const std::string& text : invocation.arguments) {
    BOBBY_TRY(const std::int64_t id, draft_number(text));
    ids.push_back(id);
  }
  BOBBY_TRY(const auto poster, Poster::open(invocation.settings, interruptible()));
  bluesky::RemoteDrafts remote(poster->account().session());
  bot::HandoverDesk desk({.drafts = *poster->store().drafts,
                          .outbox = poster->outbox(),
                          .maker = poster->maker(),
                          .remote = remote,
                          .langs = invocation.settings.texts(Opt::kLangs)});
  std::vector<Error> errors;
  for (const std::int64_t id : ids) {
    auto sent = desk.send(id, moment_now());
    if (sent) {
      show(invocation.console, *sent, poster->account().account());
      continue;
    }
    errors.push_back(std::move(sent).error());
    if (errors.back().code == ErrorCode::kUnsupported) break;  // nor will it take the others
  }
  if (!errors.empty()) return fail(join_errors(std::move(errors)));
  return kDone;
}

constexpr Argument kArguments[] = {{"ID", true, "Drafts, by their numbers", true}};
constexpr auto kOptions = joined(kBotOptions, kTextRuleOptions);
constexpr Example kExamples[] = {
    {"bobby bot send 12 13", "to be looked at, and posted, in Bluesky's app on the phone"},
};

}  // namespace

const Command kBotSend = {
    .group = "bot",
    .name = "send",
    .summary = "send drafts to Bluesky's own drafts",
    .description =
        "Sends drafts to the account's drafts at Bluesky, which its app shows on every device: "
        "there they can be changed, posted or thrown away. Here they are rejected, so that the "
        "bot never posts them as well. None is sent twice, also after an answer that never came.",
    .arguments = kArguments,
    .options = kOptions,
    .examples = kExamples,
    .run = run,
};

}  // namespace bobby::cli
