#pragma once

#include <array>
#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "app/options.h"
#include "base/result.h"
#include "http/backoff.h"
#include "store/outbox.h"

namespace bobby::cli {

/// What every command of the bot takes: where drafts lie, and whose they are.
inline constexpr std::array kBotOptions = {Opt::kBotAccount, Opt::kDrafts};
/// What decides over a text.
inline constexpr std::array kTextRuleOptions = {Opt::kArchive, Opt::kDeny, Opt::kDenyFile,
                                                Opt::kMentions, Opt::kLangs};
/// When it posts.
inline constexpr std::array kScheduleOptions = {
    Opt::kCron,         Opt::kPerDay,    Opt::kWindows,    Opt::kZone,
    Opt::kWeekdays,     Opt::kJitter,    Opt::kQuietHours, Opt::kMisfire,
    Opt::kMisfireGrace, Opt::kHourlyCap, Opt::kDailyCap,   Opt::kScheduleSeed};

/// This machine's time, as the store counts it.
store::Moment moment_now();
/// "2025-11-28 16:07:31 UTC"
std::string time_text(store::Moment moment);

/// Whether slots were handled up to a time that is still to come, as a clock that was ahead leaves
/// it; and what that means, for a person.
bool is_far_ahead(store::Moment handled_until, store::Moment now);
std::string silence_text(const std::string& handled_until);

/// Throws Interrupted once the user wants the work to stop.
net::Watch interruptible();

/// The number of a draft, as it was given. kUsage.
Result<std::int64_t> draft_number(const std::string& text);

/// `text` on one line, in quotation marks, for a message.
std::string quoted(const std::string& text);

/// A post of the outbox as the commands print it with --json.
nlohmann::ordered_json outbox_json(const store::OutboxPost& post);

}  // namespace bobby::cli
