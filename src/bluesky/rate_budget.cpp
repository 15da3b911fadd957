#include "bluesky/rate_budget.h"

#include <algorithm>
#include <nlohmann/json.hpp>

namespace bobby::bluesky {
namespace {

using nlohmann::json;
using std::chrono::seconds;

constexpr seconds kMinute{60};
constexpr seconds kHour{3600};
constexpr seconds kDay{86'400};
constexpr std::int64_t kPointsInHour = 5000;
constexpr std::int64_t kPointsInDay = 35'000;
// Bluesky documents 30 and 300, gives fewer, and locks out for a day who asks for more.
constexpr seconds kLoginWindow{300};
constexpr std::int64_t kLoginsInWindow = 5;
constexpr std::int64_t kLoginsInDay = 30;
// A reset that lies further ahead is a clock gone wrong, here or there.
constexpr seconds kLongestBlock = kDay;

std::int64_t points(Spending what) {
  switch (what) {
    case Spending::kCreate: return 3;
    case Spending::kUpdate: return 2;
    case Spending::kDelete: return 1;
    case Spending::kRead:
    case Spending::kLogin: return 0;
  }
  return 0;
}

// What the server's own limits are kept by: all writes draw on one.
const char* limit_name(Spending what) {
  switch (what) {
    case Spending::kRead: return "reads";
    case Spending::kLogin: return "logins";
    default: return "writes";
  }
}

std::int64_t to_seconds(TimePoint time) {
  return std::chrono::floor<seconds>(time).time_since_epoch().count();
}
TimePoint from_seconds(std::int64_t count) {
  return TimePoint(seconds(count));
}

}  // namespace

std::int64_t RateBudget::sum(const Log& log, TimePoint now, seconds window) {
  std::int64_t total = 0;
  // Of a time yet to come, by a clock that was set back since: as if it were now.
  for (const Spent& spent : log)
    if (spent.time + window + kMinute > now) total += spent.amount;
  return total;
}

TimePoint RateBudget::room(const Log& log, TimePoint now, seconds window, std::int64_t allowed) {
  std::int64_t total = sum(log, now, window);
  TimePoint free = now;
  for (const Spent& spent : log) {
    if (total <= allowed) break;
    if (spent.time + window + kMinute <= now) continue;
    total -= spent.amount;
    free = std::max(free, std::min(spent.time, now) + window + kMinute);
  }
  return free;
}

void RateBudget::add(Log& log, TimePoint now, std::int64_t amount) {
  std::erase_if(log, [&](const Spent& spent) { return spent.time + kDay + kMinute <= now; });
  // What is of the future was spent by now.
  const TimePoint minute = std::chrono::floor<std::chrono::minutes>(now);
  for (Spent& spent : log) spent.time = std::min(spent.time, minute);
  if (!log.empty() && log.back().time == minute)
    log.back().amount += amount;
  else
    log.push_back({minute, amount});
}

RateBudget::Log& RateBudget::log_of(Spending what) {
  return what == Spending::kLogin ? logins_ : writes_;
}

TimePoint RateBudget::earliest(Spending what, TimePoint now, std::int64_t count) const {
  TimePoint time = now;
  if (what == Spending::kLogin) {
    time = std::max(room(logins_, now, kLoginWindow, kLoginsInWindow - count),
                    room(logins_, now, kDay, kLoginsInDay - count));
  } else if (points(what) > 0) {
    const std::int64_t cost = points(what) * count;
    time = std::max(room(writes_, now, kHour, kPointsInHour - cost),
                    room(writes_, now, kDay, kPointsInDay - cost));
  }
  if (const auto blocked = blocked_.find(limit_name(what)); blocked != blocked_.end())
    time = std::max(time, std::min(blocked->second, now + kLongestBlock));
  return time;
}

void RateBudget::spend(Spending what, TimePoint now, std::int64_t count) {
  if (what == Spending::kRead) return;
  add(log_of(what), now, what == Spending::kLogin ? count : points(what) * count);
}

void RateBudget::learn(Spending what, const ServerLimit& limit, bool refused, TimePoint now) {
  constexpr seconds kUnnamedWait{60};
  std::optional<TimePoint> until;
  const bool is_used_up =
      limit.remaining && *limit.remaining < std::max<std::int64_t>(points(what), 1);
  if (refused) until = now + limit.wait.value_or(kUnnamedWait);
  if ((refused || is_used_up) && limit.reset)
    until = std::max(until.value_or(*limit.reset), *limit.reset);
  if (until && *until > now)
    blocked_[limit_name(what)] = std::min(*until, now + kLongestBlock);
  else
    blocked_.erase(limit_name(what));
}

std::int64_t RateBudget::left_in_hour(TimePoint now) const {
  return std::max<std::int64_t>(kPointsInHour - sum(writes_, now, kHour), 0);
}
std::int64_t RateBudget::left_in_day(TimePoint now) const {
  return std::max<std::int64_t>(kPointsInDay - sum(writes_, now, kDay), 0);
}

std::string RateBudget::to_json() const {
  const auto list = [](const Log& log) {
    json rows = json::array();
    for (const Spent& spent : log) rows.push_back({to_seconds(spent.time), spent.amount});
    return rows;
  };
  json blocked = json::object();
  for (const auto& [name, until] : blocked_) blocked[name] = to_seconds(until);
  return json{{"version", 1},
              {"writes", list(writes_)},
              {"logins", list(logins_)},
              {"blocked", std::move(blocked)}}
             .dump() +
         "\n";
}

Result<RateBudget> RateBudget::from_json(std::string_view text) {
  constexpr std::size_t kMostRows = 10'000;  // one a minute of a day, and some
  constexpr std::int64_t kLatest = 100'000'000'000;
  const auto malformed = [](std::string_view key) {
    return fail({.code = ErrorCode::kMalformed,
                 .where = key.empty() ? "" : "key '" + std::string(key) + "'",
                 .problem = "is not what a budget holds"});
  };
  const auto number = [](const json& value, std::int64_t most) {
    return value.is_number_integer() && value >= 0 && value <= most;
  };
  const json parsed = json::parse(text, nullptr, false);
  if (!parsed.is_object() || parsed.value("version", json()) != 1) return malformed("version");
  RateBudget budget;
  for (const auto& [key, log] : {std::pair<std::string, Log*>{"writes", &budget.writes_},
                                 std::pair<std::string, Log*>{"logins", &budget.logins_}}) {
    const json rows = parsed.value(key, json());
    if (!rows.is_array() || rows.size() > kMostRows) return malformed(key);
    for (const json& row : rows) {
      if (!row.is_array() || row.size() != 2 || !number(row[0], kLatest) ||
          !number(row[1], kLatest))
        return malformed(key);
      log->push_back({from_seconds(row[0].get<std::int64_t>()), row[1].get<std::int64_t>()});
    }
    std::ranges::sort(*log, {}, &Spent::time);
  }
  const json blocked = parsed.value("blocked", json());
  if (!blocked.is_object()) return malformed("blocked");
  for (const auto& [name, until] : blocked.items()) {
    if (!number(until, kLatest)) return malformed("blocked");
    budget.blocked_[name] = from_seconds(until.get<std::int64_t>());
  }
  return budget;
}

}  // namespace bobby::bluesky
