#include "app/bot/setup.h"

#include <cerrno>
#include <cstring>
#include <fmt/format.h>
#include <fstream>
#include <iterator>
#include <utility>

#include "app/bot/account.h"
#include "bot/archive_posts.h"

namespace bobby {
namespace {

Result<std::ifstream> open_text(const std::string& file) {
  errno = 0;
  std::ifstream stream(file, std::ios::binary);
  if (stream) return stream;
  return fail({.code = errno == ENOENT ? ErrorCode::kNotFound : ErrorCode::kIo,
               .where = file,
               .problem = fmt::format("cannot be read ({})", std::strerror(errno))});
}

bot::MentionRule mention_rule(const std::string& name) {
  if (name == "keep") return bot::MentionRule::kKeep;
  return name == "refuse" ? bot::MentionRule::kRefuse : bot::MentionRule::kStrip;
}

Result<void> add_posts(bot::NoveltyIndex& past, store::Outbox& outbox) {
  constexpr std::int64_t kAll = 1'000'000;
  BOBBY_TRY(const auto posts, outbox.list({.state = store::OutboxState::kPosted, .limit = kAll}));
  for (const store::OutboxPost& post : posts)
    past.add({bot::SourceKind::kPost, post.uri}, post.text);
  return {};
}

Result<void> add_drafts(bot::NoveltyIndex& past, store::DraftStore& drafts) {
  store::DraftQuery query{.limit = 200};
  for (;;) {
    BOBBY_TRY(const store::DraftPage page, drafts.list(query));
    for (const store::Draft& draft : page.drafts) past.add(draft_source(draft.id), draft.text);
    if (!page.has_more || page.drafts.empty()) return {};
    query.before = page.drafts.back().id;
  }
}

}  // namespace

Result<bot::ScheduleConfig> schedule_config(const Settings& settings) {
  bot::ScheduleConfig config;
  if (settings.given(Opt::kCron)) config.cron = settings.text(Opt::kCron);
  config.per_day = static_cast<int>(settings.integer(Opt::kPerDay));
  config.windows = settings.texts(Opt::kWindows);
  config.zone = settings.text(Opt::kZone);
  config.weekdays = settings.texts(Opt::kWeekdays);
  config.quiet = settings.texts(Opt::kQuietHours);
  config.jitter = std::chrono::seconds(settings.integer(Opt::kJitter));
  config.seed = static_cast<std::uint64_t>(settings.integer(Opt::kScheduleSeed));
  BOBBY_TRY(config.misfire, bot::misfire_of(settings.text(Opt::kMisfire)));
  config.misfire_grace = std::chrono::seconds(settings.integer(Opt::kMisfireGrace));
  config.hourly_cap = static_cast<int>(settings.integer(Opt::kHourlyCap));
  config.daily_cap = static_cast<int>(settings.integer(Opt::kDailyCap));
  return config;
}

Result<bot::Filter> make_filter(const Settings& settings) {
  bot::FilterConfig config{.mentions = mention_rule(settings.text(Opt::kMentions))};
  for (const std::string& rule : settings.texts(Opt::kDeny))
    config.deny.push_back({rule, settings.setting(Opt::kDeny).origin});
  if (settings.given(Opt::kDenyFile)) {
    const std::string& file = settings.text(Opt::kDenyFile);
    BOBBY_TRY(std::ifstream stream, open_text(file));
    const std::string text{std::istreambuf_iterator<char>(stream),
                           std::istreambuf_iterator<char>()};
    for (bot::DenyRule& rule : bot::parse_deny_list(text, file))
      config.deny.push_back(std::move(rule));
  }
  return bot::Filter::make(config);
}

Result<bot::PostMaker> make_post_maker(const Settings& settings, bluesky::DidOfHandle did_of_handle,
                                       bot::CardOfPage card_of_page) {
  BOBBY_TRY(bot::Filter filter, make_filter(settings));
  return bot::PostMaker(std::move(filter), {settings.texts(Opt::kLangs), std::move(did_of_handle),
                                            std::move(card_of_page)});
}

Result<BotStore> open_bot_store(const Settings& settings) {
  const std::filesystem::path file = store_file(settings);
  BotStore store;
  BOBBY_TRY(store.drafts, store::DraftStore::open(file));
  BOBBY_TRY(store.outbox, store::Outbox::open(file));
  return store;
}

Result<BotStore> open_existing_store(const Settings& settings) {
  const std::filesystem::path file = store_file(settings);
  std::error_code error;
  if (std::filesystem::exists(file, error)) return open_bot_store(settings);
  return fail({.code = ErrorCode::kNotFound,
               .where = file.string(),
               .problem = "is not there",
               .hint = "--drafts names another store"});
}

bot::Source draft_source(std::int64_t id) {
  return {bot::SourceKind::kDraft, fmt::format("{}", id)};
}

Result<bot::NoveltyIndex> past_texts(const Settings& settings, BotStore& store) {
  bot::NoveltyIndex past;
  for (const std::string& file : settings.texts(Opt::kArchive)) {
    BOBBY_TRY(std::ifstream stream, open_text(file));
    const std::string name = std::filesystem::path(file).filename().string();
    if (auto added = bot::add_archive(past, stream, name); !added)
      return fail(std::move(added).error().in(file));
  }
  BOBBY_CHECK(add_posts(past, *store.outbox));
  BOBBY_CHECK(add_drafts(past, *store.drafts));
  return past;
}

}  // namespace bobby
