// bobby model pull: a model or adapter of the Hugging Face hub into its cache.

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "app/obtain.h"
#include "cli/command.h"
#include "cli/pull_view.h"
#include "hub/cache/pull.h"

namespace bobby::cli {
namespace {

void report(const hub::HubName& name, const hub::Pulled& pulled, Console& console) {
  console.end_progress();
  if (console.json()) {
    console.print_json({{"repository", name.repository()},
                        {"revision", name.revision},
                        {"commit", pulled.commit},
                        {"folder", pulled.folder.string()},
                        {"files", pulled.files},
                        {"downloaded", pulled.downloaded},
                        {"bytes", pulled.bytes},
                        {"asked", pulled.asked}});
    return;
  }
  if (!pulled.asked)
    console.note(fmt::format("{} is here already, at commit {}; --update asks for a newer one",
                             name.text(), pulled.commit));
  else
    console.note(fmt::format("{} at commit {}: {} files, {} of them new, {} downloaded",
                             name.text(), pulled.commit, pulled.files, pulled.downloaded,
                             size_text(pulled.bytes)));
  console.print(pulled.folder.string());
}

Result<int> run(const Invocation& invocation) {
  const Settings& settings = invocation.settings;
  Console& console = invocation.console;
  const auto name = hub::parse_hub_name(invocation.arguments.front());
  if (!name)
    return fail({.code = ErrorCode::kUsage,
                 .where = invocation.arguments.front(),
                 .problem = "is not a name of the hub",
                 .expected = "ORG/NAME, with an optional @revision"});
  BOBBY_TRY(const hub::HubSettings its, hub_settings(settings));
  BOBBY_TRY(const hub::Pulled pulled, hub::pull({.name = *name,
                                                 .content = hub::Content::kAny,
                                                 .update = settings.flag(Opt::kUpdate),
                                                 .include = settings.texts(Opt::kInclude),
                                                 .exclude = settings.texts(Opt::kExclude)},
                                                its, pull_view(console, settings)));
  report(*name, pulled, console);
  return kDone;
}

constexpr Argument kArguments[] = {
    {"ORG/NAME[@REVISION]", true, "A repository of the hub, and a branch, tag or commit of it"}};
constexpr Opt kOptions[] = {Opt::kUpdate, Opt::kInclude, Opt::kExclude};
constexpr Example kExamples[] = {
    {"bobby model pull mlx-community/Qwen3-0.6B-4bit", "config, tokenizer and weights"},
    {"bobby model pull mlx-community/Qwen3-0.6B-4bit --update", "what it is by now"},
    {"bobby model pull ORG/NAME@v1.0 --json", "a tag; the result as JSON"},
};

}  // namespace

const Command kModelPull = {
    .group = "model",
    .name = "pull",
    .summary = "download a model or an adapter from the Hugging Face hub",
    .description =
        "Downloads what is needed of a repository of the Hugging Face hub into its cache, which "
        "other programs share: config, tokenizer, weights in safetensors, or an adapter. Every "
        "file "
        "is checked against the hub's hash of it. What is there already stays as it is, unless "
        "--update asks for a newer state; what a pull left half done goes on. Prints the folder. "
        "HF_HUB_CACHE, HF_HOME, HF_TOKEN, HF_ENDPOINT, HF_HUB_OFFLINE and the hub's other "
        "variables "
        "count. --model ORG/NAME and --adapter ORG/NAME download what is missing by themselves.",
    .arguments = kArguments,
    .options = kOptions,
    .examples = kExamples,
    .run = run,
};

}  // namespace bobby::cli
