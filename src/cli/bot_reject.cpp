// bobby bot reject: drafts that will not go out.

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "app/bot/setup.h"
#include "cli/bot_shared.h"
#include "cli/command.h"

namespace bobby::cli {
namespace {

Result<int> run(const Invocation& invocation) {
  const Settings& settings = invocation.settings;
  const std::string reason = settings.given(Opt::kReason) ? settings.text(Opt::kReason) : "";
  std::vector<std::int64_t> ids;
  for (const std::string& text : invocation.arguments) {
    BOBBY_TRY(const std::int64_t id, draft_number(text));
    ids.push_back(id);
  }
  BOBBY_TRY(const BotStore store, open_bot_store(settings));
  std::vector<Error> errors;
  for (const std::int64_t id : ids) {
    if (auto rejected = store.outbox->reject(id, reason, moment_now()); !rejected) {
      errors.push_back(std::move(rejected).error());
      continue;
    }
    if (invocation.console.json())
      invocation.console.print_json({{"draft", id}, {"state", "rejected"}, {"reason", reason}});
    else
      invocation.console.print(fmt::format("draft {} is rejected", id));
  }
  if (!errors.empty()) return fail(join_errors(std::move(errors)));
  return kDone;
}

constexpr Argument kArguments[] = {{"ID", true, "Drafts, by their numbers", true}};
constexpr Opt kOptions[] = {Opt::kReason, Opt::kDrafts};
constexpr Example kExamples[] = {
    {"bobby bot reject 12 --reason \"not how I talk\"", "draft 12 is never posted"},
};

}  // namespace

const Command kBotReject = {
    .group = "bot",
    .name = "reject",
    .summary = "keep drafts from being posted",
    .description =
        "Rejects drafts, approved or not, unless they were sent already. They stay in the store "
        "with the reason, and new drafts must not repeat them.",
    .arguments = kArguments,
    .options = kOptions,
    .examples = kExamples,
    .run = run,
};

}  // namespace bobby::cli
