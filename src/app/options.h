#pragma once

#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"

namespace bobby {

/// Every option of every command, once. Flags, BOBBY_* variables, config keys, help, completions,
/// man pages and `bobby config` are all read from the table behind option().
enum class Opt : std::uint8_t {
  // Of every command.
  kModel,
  kAdapter,
  kDevice,
  kThreads,
  kIsa,
  kActivations,
  kKv,
  kConfig,
  kOffline,
  kJson,
  kVerbose,
  kQuiet,
  // What a post is.
  kCount,
  kPrompt,
  kPromptForm,
  kSystem,
  kMaxTokens,
  kTemperature,
  kTopP,
  kTopK,
  kMinP,
  kRepetitionPenalty,
  kGreedy,
  kSeed,
  kCharLimit,
  kHardLimit,
  kMinChars,
  kRetries,
  kKeepEmojis,
  kKeepHashtags,
  kRaw,
  kStream,
  kTrace,
  // Of one command each.
  kPromptTokens,
  kGenTokens,
  kBatch,
  kBenchSeed,
  kAdaptersByRow,
  kSharedPrompt,
  kStages,
  kTokens,
  kOut,
  kTo,
  kFrom,
  kDeep,
  kArch,
  kSynthSeed,
  kSynthAdapter,
  kBits,
  kGroupSize,
  kRounding,
  kRecipe,
  kOverride,
  kDense,
  kDtype,
  kAsMlx,
  kRequantize,
  kFidelityData,
  kPositions,
  kDecode,
  kNul,
  kHtml,
  kSamples,
  kInspectMaxSeqLength,
  kFormat,
  kUpdate,
  kInclude,
  kExclude,
  // Of bobby serve.
  kHost,
  kPort,
  kUnixSocket,
  kApiKeyFile,
  kMetricsKey,
  kAllowOrigin,
  kMaxRows,
  kMaxQueue,
  kKvMemory,
  kRequestTimeout,
  kAdapterDir,
  kDrafts,
  kPromptCache,
  kLogFormat,
  // Of bobby data import.
  kSource,
  kForce,
  kReplies,
  kQuotes,
  kDeleted,
  kBlocks,
  kImportMinChars,
  kImportMaxChars,
  kLinks,
  kLanguage,
  kKeepDuplicates,
  kNear,
  kImportPrompt,
  kPromptsFile,
  kImportSystem,
  kValid,
  kImportSeed,
  // Of bobby train.
  kTrainConfig,
  kPlan,
  kResume,
  kOverwrite,
  kTrainData,
  kAdapterPath,
  kIters,
  kEpochs,
  kBatchSize,
  kGradAccumulation,
  kLearningRate,
  kNumLayers,
  kMaxSeqLength,
  kStepsPerReport,
  kStepsPerEval,
  kSaveEvery,
  kValBatches,
  kTrainSeed,
  // Of all that talks to Bluesky.
  kService,
  kPlc,
  // Of the bot.
  kBotService,
  kBotAccount,
  kCron,
  kPerDay,
  kWindows,
  kZone,
  kWeekdays,
  kJitter,
  kQuietHours,
  kMisfire,
  kMisfireGrace,
  kHourlyCap,
  kDailyCap,
  kScheduleSeed,
  kArchive,
  kDeny,
  kDenyFile,
  kMentions,
  kLangs,
  kLabel,
  kCard,
  kAutoPost,
  kDraftsAhead,
  kCandidates,
  kPasswordFile,
  kReason,
  kDryRun,
  kOnce,
  kOptionCount,
};

inline constexpr std::size_t kOptions = static_cast<std::size_t>(Opt::kOptionCount);

/// What an option's value must be.
enum class OptionKind : std::uint8_t {
  kFlag,         ///< true or false; on the command line its presence means true
  kInteger,      ///< whole number in [min, max]
  kNumber,       ///< finite number in [min, max]
  kText,         ///< anything
  kChoice,       ///< one of `choices`
  kTextList,     ///< repeatable; "," between entries in the environment, an array in a config file
  kIntegerList,  ///< whole numbers in [min, max] with "," between them
};

/// Where an option may be given.
enum class OptionScope : std::uint8_t {
  kFlagOnly,  ///< on the command line alone
  kSetting,   ///< also as BOBBY_NAME and as a key of a config file
};

struct OptionSpec {
  Opt id = Opt::kOptionCount;
  std::string_view name;  ///< without the dashes: "max-tokens"
  char letter = '\0';     ///< 'v' for -v; '\0': none
  OptionKind kind = OptionKind::kText;
  OptionScope scope = OptionScope::kFlagOnly;
  std::string_view value;         ///< how help names the value: "N"; empty for flags
  std::string_view default_text;  ///< empty: unset
  double min = std::numeric_limits<double>::lowest();
  double max = std::numeric_limits<double>::max();
  std::span<const std::string_view> choices = {};
  std::string_view help;              ///< one sentence without a full stop
  std::string_view environment = {};  ///< when it is not BOBBY_ + the name
  std::string_view table = {};        ///< of a config file: "bot"; empty: none
  std::string_view key = {};          ///< in the table, when it is not the name

  /// "BOBBY_MAX_TOKENS", "BOBBY_BOT_ZONE"; empty when the scope is kFlagOnly.
  std::string environment_name() const;
  /// "max_tokens", "bot.zone"; empty when the scope is kFlagOnly.
  std::string config_key() const;
};

const OptionSpec& option(Opt id);
std::span<const OptionSpec> all_options();

/// Whether `text` can be a value of `spec` (one entry, for kTextList). The error says what was
/// expected and found; the caller sets where it stood.
Result<void> check_value(const OptionSpec& spec, std::string_view text);

/// The value of a text that check_value() has accepted.
bool flag_value(std::string_view text);
std::int64_t integer_value(std::string_view text);
double number_value(std::string_view text);

}  // namespace bobby
