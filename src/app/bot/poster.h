#pragma once

#include <memory>
#include <string>

#include "app/bot/account.h"
#include "app/bot/setup.h"
#include "app/settings.h"
#include "base/result.h"
#include "bot/approval.h"
#include "bot/bluesky_target.h"
#include "bot/daemon.h"
#include "bot/post_maker.h"
#include "bot/publisher.h"
#include "bot/schedule/schedule.h"

namespace bobby {

/// All that it takes to post: the store, the account, and what stands between.
class Poster {
 public:
  /// Opens them; nothing is asked of the network yet. `watch` is called while something is waited
  /// for, and may throw: what was under way is settled by the next Poster. `note` hears of what a
  /// post goes without.
  static Result<std::unique_ptr<Poster>> open(const Settings& settings, const net::Watch& watch,
                                              std::function<void(const std::string&)> note = {});
  Poster(const Poster&) = delete;
  Poster& operator=(const Poster&) = delete;

  BotStore& store() { return store_; }
  store::Outbox& outbox() { return *store_.outbox; }
  BotAccount& account() { return *account_; }
  const std::string& did() const { return account_->account().did; }
  const bot::PostMaker& maker() const { return maker_; }
  bot::Approver& approver() { return approver_; }
  bot::Publisher& publisher() { return publisher_; }

  /// A daemon over all this. `schedule`, and what the callbacks use, must outlive it.
  bot::Daemon daemon(const bot::Schedule& schedule,
                     std::function<void(const bot::BotEvent&)> report, bot::Daemon::Supply supply);

 private:
  Poster(BotStore store, std::unique_ptr<BotAccount> account, bot::PostMaker maker);

  BotStore store_;
  std::unique_ptr<BotAccount> account_;
  bot::PostMaker maker_;
  bot::Approver approver_;
  bot::BlueskyTarget target_;
  bot::Publisher publisher_;
};

/// What there is to do at `now`, as a daemon would find it; nothing is done. kUsage and the like of
/// Schedule::make(); the store's.
Result<bot::Plan> plan_of(const bot::Schedule& schedule, store::Outbox& outbox,
                          const std::string& did, store::Moment now);

}  // namespace bobby
