#include "cli/draft_thread.h"

#include <chrono>
#include <gtest/gtest.h>

#include "cli/console.h"

namespace bobby::cli {
namespace {

using std::chrono::milliseconds;

std::optional<Result<StoredDrafts>> wait_for(DraftThread& thread) {
  for (int i = 0; i < 10'000 && !thread.is_done(); ++i)
    std::this_thread::sleep_for(milliseconds(1));
  return thread.take();
}

TEST(DraftThread, GivesWhatWasWrittenOnce) {
  DraftThread thread([](const DraftOrder& order) -> Result<StoredDrafts> {
    StoredDrafts stored;
    stored.drafts.resize(order.count);
    return stored;
  });
  EXPECT_FALSE(thread.is_busy());
  EXPECT_FALSE(thread.take());
  for (const std::uint32_t count : {3u, 1u}) {
    thread.begin({.count = count});
    EXPECT_TRUE(thread.is_busy());
    const auto written = wait_for(thread);
    ASSERT_TRUE(written && *written);
    EXPECT_EQ((*written)->drafts.size(), count);
    EXPECT_FALSE(thread.is_busy());
    EXPECT_FALSE(thread.take()) << "once";
  }
}

TEST(DraftThread, DoesNotKeepItsOwnerWaiting) {
  std::atomic<bool> may_go_on{false};
  DraftThread thread([&](const DraftOrder&) -> Result<StoredDrafts> {
    while (!may_go_on) std::this_thread::sleep_for(milliseconds(1));
    return fail({.code = ErrorCode::kIo, .problem = "no model"});
  });
  thread.begin({});
  EXPECT_TRUE(thread.is_busy());
  EXPECT_FALSE(thread.is_done());
  EXPECT_FALSE(thread.take());
  may_go_on = true;
  const auto written = wait_for(thread);
  ASSERT_TRUE(written);
  EXPECT_EQ(written->error().problem, "no model");
}

TEST(DraftThread, AnInterruptedOneSaysSo) {
  DraftThread thread([](const DraftOrder&) -> Result<StoredDrafts> { throw Interrupted(); });
  thread.begin({});
  const auto written = wait_for(thread);
  ASSERT_TRUE(written);
  EXPECT_EQ(written->error().code, ErrorCode::kCancelled);
}

TEST(DraftThread, EndsWithItsOwner) {
  bool ended = false;
  {
    DraftThread thread([&](const DraftOrder& order) -> Result<StoredDrafts> {
      while (!*order.stop) std::this_thread::sleep_for(milliseconds(1));
      ended = true;
      throw Interrupted();
    });
    thread.begin({});
  }
  EXPECT_TRUE(ended);
}

}  // namespace
}  // namespace bobby::cli
