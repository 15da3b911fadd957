// How much may be asked of a server, and when again; over clocks that jump as well.

#include "bluesky/rate_budget.h"

#include <gtest/gtest.h>

namespace bobby::bluesky {
namespace {

using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;

const TimePoint kNow(seconds(1'764'345'600));

TEST(RateBudget, FiveThousandPointsAnHour) {
  RateBudget budget;
  EXPECT_EQ(budget.earliest(Spending::kCreate, kNow), kNow);
  budget.spend(Spending::kCreate, kNow, 1000);
  budget.spend(Spending::kUpdate, kNow + minutes(30), 900);
  budget.spend(Spending::kDelete, kNow + minutes(31), 198);
  const TimePoint later = kNow + minutes(31);
  EXPECT_EQ(budget.left_in_hour(later), 2);
  EXPECT_EQ(budget.earliest(Spending::kUpdate, later), later);
  // What was spent in a minute counts until an hour after its end.
  EXPECT_EQ(budget.earliest(Spending::kCreate, later), kNow + minutes(61));
  EXPECT_EQ(budget.earliest(Spending::kCreate, later, 1100), kNow + minutes(91));
  EXPECT_EQ(budget.left_in_hour(kNow + minutes(61)), 3002);
  EXPECT_EQ(budget.left_in_day(kNow + minutes(200)), 30'002);
  EXPECT_EQ(budget.earliest(Spending::kRead, later), later);
  EXPECT_EQ(budget.earliest(Spending::kLogin, later), later);
}

TEST(RateBudget, ThirtyFiveThousandADay) {
  RateBudget budget;
  for (int hour = 0; hour < 7; ++hour) budget.spend(Spending::kDelete, kNow + hours(hour), 5000);
  const TimePoint later = kNow + hours(10);
  EXPECT_EQ(budget.left_in_hour(later), 5000);
  EXPECT_EQ(budget.left_in_day(later), 0);
  EXPECT_EQ(budget.earliest(Spending::kDelete, later), kNow + hours(24) + minutes(1));
  budget.spend(Spending::kDelete, kNow + hours(26));
  EXPECT_EQ(budget.left_in_day(kNow + hours(26)), 35'000 - 25'000 - 1);
}

TEST(RateBudget, FewLogins) {
  RateBudget budget;
  for (int i = 0; i < 5; ++i) {
    EXPECT_EQ(budget.earliest(Spending::kLogin, kNow), kNow);
    budget.spend(Spending::kLogin, kNow);
  }
  EXPECT_EQ(budget.earliest(Spending::kLogin, kNow), kNow + minutes(6));
  EXPECT_EQ(budget.earliest(Spending::kCreate, kNow), kNow);
  for (int i = 1; i < 6; ++i) budget.spend(Spending::kLogin, kNow + i * minutes(10), 5);
  const TimePoint later = kNow + hours(3);
  EXPECT_EQ(budget.earliest(Spending::kLogin, later), kNow + hours(24) + minutes(1));
}

TEST(RateBudget, WhatTheServerSays) {
  RateBudget budget;
  budget.learn(Spending::kCreate, {.remaining = 2, .reset = kNow + minutes(5)}, false, kNow);
  EXPECT_EQ(budget.earliest(Spending::kCreate, kNow), kNow + minutes(5));
  EXPECT_EQ(budget.earliest(Spending::kDelete, kNow), kNow + minutes(5));
  EXPECT_EQ(budget.earliest(Spending::kRead, kNow), kNow);
  budget.learn(Spending::kCreate, {.remaining = 4000, .reset = kNow + minutes(5)}, false, kNow);
  EXPECT_EQ(budget.earliest(Spending::kCreate, kNow), kNow);
  budget.learn(Spending::kLogin, {.wait = seconds(90)}, true, kNow);
  EXPECT_EQ(budget.earliest(Spending::kLogin, kNow), kNow + seconds(90));
  budget.learn(Spending::kLogin, {}, true, kNow);
  EXPECT_EQ(budget.earliest(Spending::kLogin, kNow), kNow + seconds(60));
  budget.learn(Spending::kRead, {.remaining = 0, .reset = kNow + hours(9000)}, true, kNow);
  EXPECT_EQ(budget.earliest(Spending::kRead, kNow), kNow + hours(24));
}

TEST(RateBudget, AClockSetBackMakesNobodyWaitForYears) {
  RateBudget budget;
  const TimePoint future = kNow + hours(24 * 365);
  budget.spend(Spending::kDelete, future, 5000);
  budget.learn(Spending::kCreate, {.wait = hours(2)}, true, future);
  EXPECT_EQ(budget.left_in_hour(kNow), 0);
  EXPECT_LE(budget.earliest(Spending::kDelete, kNow), kNow + hours(24));
  budget.learn(Spending::kCreate, {.remaining = 100}, false, kNow);
  EXPECT_EQ(budget.earliest(Spending::kDelete, kNow), kNow + minutes(61));
  budget.spend(Spending::kLogin, future);
  budget.spend(Spending::kLogin, kNow);
  EXPECT_EQ(budget.earliest(Spending::kLogin, kNow), kNow);
  EXPECT_EQ(budget.left_in_hour(kNow + minutes(61)), 0);  // not spent since: still of the future
  budget.spend(Spending::kDelete, kNow);
  EXPECT_EQ(budget.left_in_hour(kNow + minutes(61)), 5000);
}

TEST(RateBudget, IsKeptAsText) {
  RateBudget budget;
  budget.spend(Spending::kCreate, kNow, 10);
  budget.spend(Spending::kLogin, kNow);
  budget.learn(Spending::kLogin, {.wait = seconds(90)}, true, kNow);
  const auto again = RateBudget::from_json(budget.to_json());
  ASSERT_TRUE(again) << again.error().to_string();
  EXPECT_EQ(again->to_json(), budget.to_json());
  EXPECT_EQ(again->left_in_hour(kNow), 4970);
  EXPECT_EQ(again->earliest(Spending::kLogin, kNow), kNow + seconds(90));
  for (const char* text :
       {"", "{}", "[]", R"({"version":2})", R"({"version":1,"writes":[],"logins":[]})",
        R"({"version":1,"writes":[[1]],"logins":[],"blocked":{}})",
        R"({"version":1,"writes":[[-1,1]],"logins":[],"blocked":{}})",
        R"({"version":1,"writes":[[1,1e30]],"logins":[],"blocked":{}})",
        R"({"version":1,"writes":[],"logins":[],"blocked":{"writes":"soon"}})"})
    EXPECT_FALSE(RateBudget::from_json(text)) << text;
}

}  // namespace
}  // namespace bobby::bluesky
