#include "bluesky/tid.h"

#include <gtest/gtest.h>
#include <set>

namespace bobby::bluesky {
namespace {

using std::chrono::microseconds;
using std::chrono::seconds;
using std::chrono::system_clock;

TEST(Tid, IsThirteenDigitsThatSortAsTheTimesDo) {
  EXPECT_EQ(make_tid(0, 0), "2222222222222");
  EXPECT_EQ(make_tid(0, 31), "222222222222z");
  EXPECT_EQ(make_tid(0, 1023), "22222222222zz");
  EXPECT_EQ(make_tid(1, 0), "2222222222322");
  EXPECT_EQ(make_tid((std::uint64_t{1} << 53) - 1, 1023), "bzzzzzzzzzzzz");
  // The specification's own example.
  EXPECT_EQ(tid_microseconds("3jzfcijpj2z2a") / 1'000'000, 1688137381);
  EXPECT_LT(make_tid(1'700'000'000'000'000, 5), make_tid(1'700'000'000'000'001, 4));
}

TEST(Tid, IsToldFromOtherTexts) {
  EXPECT_TRUE(is_tid("3jzfcijpj2z2a"));
  EXPECT_TRUE(is_tid("7777777777777"));
  for (const char* text : {"", "3jzfcijpj2z2", "3jzfcijpj2z2aa", "3jzfcijpj2z2A", "0000000000000",
                           "3jzfcijpj2z21", "zzzzzzzzzzzzz", "kjzfcijpj2z2a", "3jzf-ijpj2z2a"})
    EXPECT_FALSE(is_tid(text)) << text;
  EXPECT_EQ(tid_microseconds(make_tid(1'764'345'600'123'456, 900)), 1'764'345'600'123'456U);
}

TEST(TidClock, GrowsAlsoWhenTheClockStandsOrGoesBack) {
  TidClock clock(3);
  const system_clock::time_point now(seconds(1'764'345'600));
  std::string last;
  for (int i = 0; i < 100; ++i) {
    const auto time = i < 50 ? now : now - seconds(i);
    const std::string next = clock.next(time);
    EXPECT_TRUE(is_tid(next));
    EXPECT_LT(last, next);
    last = next;
  }
  EXPECT_EQ(tid_microseconds(last), 1'764'345'600'000'099U);
  EXPECT_EQ(tid_microseconds(clock.next(now + microseconds(500))), 1'764'345'600'000'500U);
}

TEST(TidClock, GoesOnAfterAnEarlierRun) {
  const system_clock::time_point now(seconds(1'764'345'600));
  const std::string last = make_tid(1'764'345'600'000'000 + 1'000'000'000, 1023);
  TidClock clock(0, last);
  EXPECT_LT(last, clock.next(now));
  TidClock fresh(0, "no identifier");
  EXPECT_EQ(tid_microseconds(fresh.next(now)), 1'764'345'600'000'000U);
  EXPECT_EQ(tid_microseconds(TidClock(1).next(system_clock::time_point(seconds(-5)))), 1U);
}

TEST(TidClock, DrawsItsNumber) {
  std::set<std::uint32_t> drawn;
  for (int i = 0; i < 64; ++i) drawn.insert(random_clock_id());
  EXPECT_GT(drawn.size(), 16U);
  EXPECT_LT(*drawn.rbegin(), 1024U);
}

}  // namespace
}  // namespace bobby::bluesky
