// bobby bot check: whether the store is whole.

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "app/bot/account.h"
#include "app/bot/setup.h"
#include "cli/bot_shared.h"
#include "cli/command.h"

namespace bobby::cli {
namespace {

Result<int> run(const Invocation& invocation) {
  BOBBY_TRY(const BotStore store, open_existing_store(invocation.settings));
  BOBBY_CHECK(store.drafts->check());
  BOBBY_TRY(const store::DraftPage page, store.drafts->list({.limit = 1}));
  const std::string file = store_file(invocation.settings).string();
  if (invocation.console.json())
    invocation.console.print_json({{"store", file}, {"whole", true}, {"drafts", page.total}});
  else
    invocation.console.print(
        fmt::format("{}: is whole, with {} draft{}", file, page.total, page.total == 1 ? "" : "s"));
  return kDone;
}

constexpr Opt kOptions[] = {Opt::kDrafts};
constexpr Example kExamples[] = {
    {"bobby bot check", "reads all of the store"},
    {"bobby bot check --drafts bobby-2026-11-29.sqlite", "all of a copy"},
};

}  // namespace

const Command kBotCheck = {
    .group = "bot",
    .name = "check",
    .summary = "read the whole store and say what is wrong with it",
    .description =
        "Reads every page of the store and compares what must agree: exits with 0 when it is "
        "whole, else with 1 and what is wrong. Every command looks when it opens the store; this "
        "looks at more, and takes longer.",
    .arguments = {},
    .options = kOptions,
    .examples = kExamples,
    .run = run,
};

}  // namespace bobby::cli
