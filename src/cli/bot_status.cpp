// bobby bot status: the account, what waits, what was posted, what is wrong.

#include <chrono>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "app/bot/poster.h"
#include "bluesky/token.h"
#include "cli/bot_shared.h"
#include "cli/command.h"
#include "cli/post_options.h"

namespace bobby::cli {
namespace {

using Json = nlohmann::ordered_json;
using store::OutboxState;

constexpr int kShownSlots = 5;
constexpr std::int64_t kShownPosts = 5;
constexpr std::int64_t kShownProblems = 20;

store::Moment moment_of(std::chrono::system_clock::time_point time) {
  return std::chrono::duration_cast<std::chrono::milliseconds>(time.time_since_epoch()).count();
}

// What is known of the account without asking its server. No token is in it.
Result<Json> account_json(const Settings& settings, const bluesky::SessionData& session) {
  Json json = {{"did", session.account.did},
               {"handle", session.account.handle},
               {"service", session.account.service},
               {"access_until", time_text(moment_of(session.good_until))}};
  if (const auto ends = bluesky::token_times(session.refresh).expires)
    json["login_until"] = time_text(std::chrono::milliseconds(*ends).count());
  const bluesky::AccountFiles files(
      bluesky::account_folder(accounts_folder(settings), session.account.did));
  BOBBY_TRY(const bluesky::RateBudget budget, files.budget());
  const auto now = std::chrono::system_clock::now();
  json["points_left"] = {{"hour", budget.left_in_hour(now)}, {"day", budget.left_in_day(now)}};
  return json;
}

Result<Json> draft_counts(store::DraftStore& drafts) {
  Json counts = Json::object();
  for (const std::string_view status : store::kDraftStatuses) {
    BOBBY_TRY(const store::DraftPage page,
              drafts.list({.status = std::string(status), .limit = 1}));
    counts[std::string(status)] = page.total;
  }
  return counts;
}

Result<Json> posts_json(store::Outbox& outbox, const std::string& did) {
  Json json = Json::object();
  BOBBY_TRY(const auto counts, outbox.counts(did));
  for (std::size_t state = 0; state < counts.size(); ++state)
    json["counts"][std::string(store::outbox_state_name(static_cast<OutboxState>(state)))] =
        counts[state];
  BOBBY_TRY(const auto posted,
            outbox.list({.account = did, .state = OutboxState::kPosted, .limit = kShownPosts}));
  json["posted"] = Json::array();
  for (const store::OutboxPost& post : posted) json["posted"].push_back(outbox_json(post));
  json["problems"] = Json::array();
  for (const OutboxState state :
       {OutboxState::kRefused, OutboxState::kSending, OutboxState::kApproved}) {
    BOBBY_TRY(const auto posts,
              outbox.list({.account = did, .state = state, .limit = kShownProblems}));
    for (const store::OutboxPost& post : posts)
      if (!post.problem.empty() || state == OutboxState::kSending)
        json["problems"].push_back(outbox_json(post));
  }
  BOBBY_TRY(const store::Outbox::Pause pause, outbox.pause(did));
  const store::Moment now = moment_now();
  if (pause.until > now)
    json["pause"] = {{"until", time_text(pause.until)}, {"reason", pause.reason}};
  BOBBY_TRY(const store::Moment handled, outbox.handled_until(did));
  if (is_far_ahead(handled, now)) json["handled_until"] = time_text(handled);
  return json;
}

// The times to come; none without a schedule.
Result<Json> slots_json(const Settings& settings) {
  Json slots = Json::array();
  BOBBY_TRY(const bot::ScheduleConfig config, schedule_config(settings));
  if (config.cron.empty() && config.per_day == 0) return slots;
  BOBBY_TRY(const bot::Schedule schedule, bot::Schedule::make(config));
  auto time = std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now());
  for (int number = 0; number < kShownSlots; ++number) {
    const auto slot = schedule.next(time);
    if (!slot) break;
    slots.push_back({{"due", time_text(moment_of(slot->due))}, {"local", slot->local}});
    time = slot->due;
  }
  return slots;
}

void print_line(Console& console, std::string_view name, const std::string& text) {
  console.print(fmt::format("{:<10}{}", name, text));
}

void print_account(Console& console, const Json& account) {
  print_line(console, "account",
             fmt::format("{} ({}) at {}", account["handle"].get<std::string>(),
                         account["did"].get<std::string>(), account["service"].get<std::string>()));
  if (account.contains("login_until"))
    print_line(console, "session",
               "can be renewed until " + account["login_until"].get<std::string>());
  print_line(console, "budget",
             fmt::format("{} points left this hour, {} this day; a post takes 3",
                         account["points_left"]["hour"].get<std::int64_t>(),
                         account["points_left"]["day"].get<std::int64_t>()));
}

void print_posts(Console& console, const Json& posts) {
  if (posts.contains("pause"))
    print_line(console, "paused",
               fmt::format("until {}: {}; `bobby bot resume` ends that",
                           posts["pause"]["until"].get<std::string>(),
                           posts["pause"]["reason"].get<std::string>()));
  if (posts.contains("handled_until"))
    print_line(console, "silent", silence_text(posts["handled_until"].get<std::string>()));
  for (const Json& post : posts["posted"])
    print_line(console, "posted",
               fmt::format("{}  draft {}  {}", post["posted_at"].get<std::string>(),
                           post["draft"].get<std::int64_t>(), post["uri"].get<std::string>()));
  for (const Json& post : posts["problems"])
    print_line(console, "problem",
               fmt::format("draft {} is {}: {}", post["draft"].get<std::int64_t>(),
                           post["state"].get<std::string>(),
                           post.value("problem", "what became of it is not known yet")));
}

void print_status(Console& console, const Json& status) {
  if (status["account"].is_null())
    print_line(console, "account", "nobody is logged in; `bobby bot login HANDLE` logs in");
  else
    print_account(console, status["account"]);
  print_line(console, "store", status["store"].get<std::string>());
  std::string drafts;
  for (const auto& [name, count] : status["drafts"].items())
    drafts += fmt::format("{}{} {}", drafts.empty() ? "" : ", ", count.get<std::int64_t>(),
                          name == "draft" ? "to review" : name);
  print_line(console, "drafts", drafts);
  for (const Json& slot : status["next"])
    print_line(
        console, "next",
        fmt::format("{}  ({})", slot["local"].get<std::string>(), slot["due"].get<std::string>()));
  if (status["next"].empty()) print_line(console, "next", "no schedule is set");
  if (status.contains("posts")) print_posts(console, status["posts"]);
}

Result<int> run(const Invocation& invocation) {
  const Settings& settings = invocation.settings;
  BOBBY_TRY(const BotStore store, open_bot_store(settings));
  Json status = {{"account", nullptr}, {"store", store_file(settings).string()}};
  BOBBY_TRY(status["drafts"], draft_counts(*store.drafts));
  BOBBY_TRY(status["next"], slots_json(settings));
  const auto session = chosen_session(settings);
  if (!session && session.error().code != ErrorCode::kNotFound) return fail(session.error());
  if (session) {
    BOBBY_TRY(status["account"], account_json(settings, *session));
    BOBBY_TRY(status["posts"], posts_json(*store.outbox, session->account.did));
  }
  if (invocation.console.json())
    invocation.console.print_json(status);
  else
    print_status(invocation.console, status);
  return kDone;
}

constexpr auto kOptions = joined(kBotOptions, kScheduleOptions);
constexpr Example kExamples[] = {
    {"bobby bot status", "what waits, what was posted, when the next post goes out"},
    {"bobby bot status --json", "the same as one JSON object"},
};

}  // namespace

const Command kBotStatus = {
    .group = "bot",
    .name = "status",
    .summary = "show the account, what waits, what was posted, and what is wrong",
    .description =
        "Shows the account and how long its session lasts, what its server still allows, how many "
        "drafts there are, the next times of the schedule, the last posts, and what a person must "
        "look at. Asks nobody: it is all on this machine.",
    .arguments = {},
    .options = kOptions,
    .examples = kExamples,
    .run = run,
};

}  // namespace bobby::cli
