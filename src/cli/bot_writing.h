#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <string>
#include <vector>

#include "app/bot/setup.h"
#include "bot/draft_writer.h"
#include "cli/command.h"

namespace bobby::cli {

/// How a draft is written; --count is the commands' own.
inline constexpr std::array kWritingOptions = {
    Opt::kPrompt,       Opt::kPromptForm,  Opt::kSystem,
    Opt::kMaxTokens,    Opt::kTemperature, Opt::kTopP,
    Opt::kTopK,         Opt::kMinP,        Opt::kRepetitionPenalty,
    Opt::kSeed,         Opt::kCharLimit,   Opt::kHardLimit,
    Opt::kMinChars,     Opt::kRetries,     Opt::kKeepEmojis,
    Opt::kKeepHashtags, Opt::kCandidates};

/// How many drafts, and what about.
struct DraftOrder {
  std::uint32_t count = 1;
  std::string prompt = {};  ///< empty: --prompt
  /// Draws a seed whatever --seed says: who writes again and again must not write the same.
  bool new_seed = false;
  /// Ends the work soon once it is set; null: cancelled().
  const std::atomic<bool>* stop = nullptr;
};

struct StoredDrafts {
  bot::WrittenDrafts written;
  std::vector<store::Draft> drafts;  ///< of written.kept, in their order
};

/// Loads the model, writes drafts with it and puts the best into the store; the model goes again
/// afterwards. Errors of all that; throws Interrupted. In any thread: what it shares with others
/// may be shared.
Result<StoredDrafts> write_drafts(const Invocation& invocation, BotStore& store,
                                  const bot::PostMaker& maker, const DraftOrder& order);

}  // namespace bobby::cli
