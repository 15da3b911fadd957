// bobby bot backup: a copy of the store.

#include <filesystem>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "app/bot/account.h"
#include "app/bot/setup.h"
#include "cli/bot_shared.h"
#include "cli/command.h"
#include "cli/pull_view.h"

namespace bobby::cli {
namespace {

Result<int> run(const Invocation& invocation) {
  const std::string& file = invocation.arguments.front();
  BOBBY_TRY(const BotStore store, open_existing_store(invocation.settings));
  BOBBY_CHECK(store.drafts->backup(file));
  std::error_code error;
  const std::uintmax_t bytes = std::filesystem::file_size(file, error);
  const std::string from = store_file(invocation.settings).string();
  if (invocation.console.json())
    invocation.console.print_json({{"store", from}, {"backup", file}, {"bytes", bytes}});
  else
    invocation.console.print(fmt::format("{}: {}, a copy of {}", file, size_text(bytes), from));
  return kDone;
}

constexpr Argument kArguments[] = {{"FILE", true, "The copy, which must not exist yet"}};
constexpr Opt kOptions[] = {Opt::kDrafts};
constexpr Example kExamples[] = {
    {"bobby bot backup bobby-$(date +%F).sqlite", "a copy with the day in its name"},
    {"bobby bot check --drafts bobby-2026-11-29.sqlite", "whether a copy is whole"},
};

}  // namespace

const Command kBotBackup = {
    .group = "bot",
    .name = "backup",
    .summary = "copy the store into a file",
    .description =
        "Copies the store, with drafts, decisions, what is approved and what was posted, into a "
        "new file, also while a daemon or the page work on it. The copy is whole or not there, and "
        "for you alone. No session is in it. To put it back, end the daemon and the page, and copy "
        "it to the store's place.",
    .arguments = kArguments,
    .options = kOptions,
    .examples = kExamples,
    .run = run,
};

}  // namespace bobby::cli
