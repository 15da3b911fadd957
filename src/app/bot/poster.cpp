#include "app/bot/poster.h"

#include <chrono>
#include <utility>

namespace bobby {

using std::chrono::milliseconds;
using store::Moment;

Result<std::unique_ptr<Poster>> Poster::open(const Settings& settings, const net::Watch& watch,
                                             std::function<void(const std::string&)> note) {
  BOBBY_TRY(BotStore store, open_bot_store(settings));
  BOBBY_TRY(auto account, BotAccount::open(settings, watch));
  bot::CardOfPage card;
  if (settings.flag(Opt::kCard)) card = card_fetcher(account->account(), watch, std::move(note));
  BOBBY_TRY(bot::PostMaker maker,
            make_post_maker(settings, account->did_of_handle(), std::move(card)));
  return std::unique_ptr<Poster>(
      new Poster(std::move(store), std::move(account), std::move(maker)));
}

Poster::Poster(BotStore store, std::unique_ptr<BotAccount> account, bot::PostMaker maker)
    : store_(std::move(store)),
      account_(std::move(account)),
      maker_(std::move(maker)),
      approver_(*store_.drafts, *store_.outbox, maker_, did()),
      target_(account_->repository()),
      publisher_(*store_.outbox, target_, did(), [this](const store::OutboxPost& post, Moment now) {
        return maker_.record(post.text, now);
      }) {}

bot::Daemon Poster::daemon(const bot::Schedule& schedule,
                           std::function<void(const bot::BotEvent&)> report,
                           bot::Daemon::Supply supply) {
  return bot::Daemon({.outbox = *store_.outbox,
                      .publisher = publisher_,
                      .schedule = schedule,
                      .account = did(),
                      .make_key = [this](Moment now) { return approver_.next_key(now); },
                      .report = std::move(report),
                      .supply = std::move(supply)});
}

Result<bot::Plan> plan_of(const bot::Schedule& schedule, store::Outbox& outbox,
                          const std::string& did, Moment now) {
  constexpr Moment kTwoDays = 48 * 3'600'000;
  const auto time_of = [](Moment moment) {
    return std::chrono::floor<std::chrono::seconds>(
        std::chrono::sys_time<milliseconds>(milliseconds(moment)));
  };
  BOBBY_TRY(const Moment handled, outbox.handled_until(did));
  BOBBY_TRY(const std::vector<Moment> moments, outbox.posted_times(did, now - kTwoDays));
  std::vector<bot::TimePoint> posted;
  for (const Moment moment : moments) posted.push_back(time_of(moment));
  return schedule.plan(time_of(now), time_of(handled == 0 ? now - 1000 : handled), posted);
}

}  // namespace bobby
