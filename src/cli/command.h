#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "app/options.h"
#include "app/settings.h"
#include "base/result.h"
#include "cli/console.h"

namespace bobby::cli {

/// What the process ends with. Interrupted work ends with 130, as the shell would report it.
enum ExitCode : int {
  kDone = 0,
  kFailed = 1,
  kWrongUsage = 2,
  kNothingAcceptable = 3,
  kInterrupted = 130,
  kBrokenPipe = 141,
};

/// An argument that is not an option.
struct Argument {
  std::string_view name;  ///< "COUNT"
  bool required = false;
  std::string_view help;
  bool repeated = false;  ///< the last one: any number of them
};

/// A line to copy, and what it does.
struct Example {
  std::string_view line;
  std::string_view what;
};

/// What a command is run with.
struct Invocation {
  const Settings& settings;
  const std::vector<std::string>& arguments;
  Console& console;
};

/// One command, as data: parsing, help, completions, man pages and the reference read it.
struct Command {
  std::string_view group;  ///< "model"; empty for a command of one word
  std::string_view name;   ///< "inspect"
  std::string_view summary;
  std::string_view description;
  std::span<const Argument> arguments;
  std::span<const Opt> options;  ///< its own; those of common_options() come on top
  std::span<const Example> examples;
  Result<int> (*run)(const Invocation&) = nullptr;

  /// "model inspect"
  std::string full_name() const;
};

/// Every command that works, in the order of the help.
std::span<const Command* const> all_commands();
/// The options that every command takes.
std::span<const Opt> common_options();
/// Those that this command takes: one with an option of the same name has that one alone.
std::vector<Opt> common_options_of(const Command& command);
/// The command's own options, then the common ones.
std::vector<Opt> options_of(const Command& command);

// Each in a file of its own.
extern const Command kPost;
extern const Command kServe;
extern const Command kTrain;
extern const Command kModelPull;
extern const Command kModelList;
extern const Command kModelRm;
extern const Command kModelInspect;
extern const Command kModelVerify;
extern const Command kModelImportGguf;
extern const Command kModelQuantize;
extern const Command kModelSynth;
extern const Command kModelLogits;
extern const Command kModelFuse;
extern const Command kAdapterInspect;
extern const Command kAdapterExport;
extern const Command kAdapterImport;
extern const Command kAdapterFidelity;
extern const Command kDataImport;
extern const Command kDataInspect;
extern const Command kTokenize;
extern const Command kBench;
extern const Command kBotLogin;
extern const Command kBotLogout;
extern const Command kBotDraft;
extern const Command kBotReview;
extern const Command kBotApprove;
extern const Command kBotReject;
extern const Command kBotSend;
extern const Command kBotPost;
extern const Command kBotRun;
extern const Command kBotResume;
extern const Command kBotStatus;
extern const Command kBotBackup;
extern const Command kBotCheck;
extern const Command kConfig;
extern const Command kCompletions;
extern const Command kMan;

}  // namespace bobby::cli
