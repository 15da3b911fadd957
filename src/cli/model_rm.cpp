// bobby model rm: what the Hugging Face cache no longer needs to hold.

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "app/obtain.h"
#include "cli/command.h"
#include "cli/pull_view.h"
#include "hub/cache/cached_repositories.h"

namespace bobby::cli {
namespace {

Result<int> run(const Invocation& invocation) {
  const std::string& text = invocation.arguments.front();
  const auto name = hub::parse_hub_name(text);
  if (!name)
    return fail({.code = ErrorCode::kUsage,
                 .where = text,
                 .problem = "is not a name of the hub",
                 .expected = "ORG/NAME, with an optional @revision"});
  BOBBY_TRY(const hub::HubSettings its, hub_settings(invocation.settings));
  const bool whole = text.find('@') == std::string::npos;
  BOBBY_TRY(const hub::Removed removed, hub::remove_cached(its.cache, *name, whole));
  if (invocation.console.json())
    invocation.console.print_json(
        {{"name", text}, {"revisions", removed.revisions}, {"bytes", removed.bytes}});
  else
    invocation.console.note(fmt::format(
        "{}: {} removed, {} free now", text,
        removed.revisions == 1 ? "one revision" : fmt::format("{} revisions", removed.revisions),
        size_text(removed.bytes)));
  return kDone;
}

constexpr Argument kArguments[] = {
    {"ORG/NAME[@REVISION]", true, "A repository in the cache, or one revision of it"}};
constexpr Example kExamples[] = {
    {"bobby model rm mlx-community/Qwen3-0.6B-4bit", "all of its revisions"},
    {"bobby model rm ORG/NAME@v1.0", "one, with what no other shares"},
};

}  // namespace

const Command kModelRm = {
    .group = "model",
    .name = "rm",
    .summary = "remove a model or an adapter from the Hugging Face cache",
    .description =
        "Removes a repository from the Hugging Face cache, which other programs share: all of it, "
        "or "
        "with @REVISION one revision and the files that no other revision has. Refuses one that is "
        "being downloaded.",
    .arguments = kArguments,
    .options = {},
    .examples = kExamples,
    .run = run,
};

}  // namespace bobby::cli
