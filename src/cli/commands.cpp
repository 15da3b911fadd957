#include <algorithm>
#include <fmt/format.h>

#include "cli/command.h"

namespace bobby::cli {
namespace {

constexpr const Command* kCommands[] = {
    &kPost,
    &kServe,
    &kTrain,
    &kDataImport,
    &kDataInspect,
    &kModelPull,
    &kModelList,
    &kModelRm,
    &kModelInspect,
    &kModelVerify,
    &kModelImportGguf,
    &kModelQuantize,
    &kModelSynth,
    &kModelLogits,
    &kModelFuse,
    &kAdapterInspect,
    &kAdapterFidelity,
    &kAdapterExport,
    &kAdapterImport,
    &kBotLogin,
    &kBotLogout,
    &kBotDraft,
    &kBotReview,
    &kBotApprove,
    &kBotReject,
    &kBotSend,
    &kBotPost,
    &kBotRun,
    &kBotResume,
    &kBotStatus,
    &kBotBackup,
    &kBotCheck,
    &kTokenize,
    &kBench,
    &kConfig,
    &kCompletions,
    &kMan,
};

constexpr Opt kCommon[] = {
    Opt::kModel, Opt::kAdapter, Opt::kDevice, Opt::kThreads, Opt::kIsa,     Opt::kActivations,
    Opt::kKv,    Opt::kOffline, Opt::kConfig, Opt::kJson,    Opt::kVerbose, Opt::kQuiet,
};

}  // namespace

std::string Command::full_name() const {
  return group.empty() ? std::string(name) : fmt::format("{} {}", group, name);
}

std::span<const Command* const> all_commands() {
  return kCommands;
}

std::span<const Opt> common_options() {
  return kCommon;
}

std::vector<Opt> common_options_of(const Command& command) {
  std::vector<Opt> options;
  for (const Opt common : kCommon)
    if (std::ranges::none_of(command.options,
                             [&](Opt own) { return option(own).name == option(common).name; }))
      options.push_back(common);
  return options;
}

std::vector<Opt> options_of(const Command& command) {
  std::vector<Opt> options(command.options.begin(), command.options.end());
  const std::vector<Opt> common = common_options_of(command);
  options.insert(options.end(), common.begin(), common.end());
  return options;
}

}  // namespace bobby::cli
