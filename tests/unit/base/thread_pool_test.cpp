#include "base/thread_pool.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <gtest/gtest.h>
#include <thread>
#include <vector>

namespace bobby {
namespace {

class ThreadPoolTest : public testing::TestWithParam<int> {
 protected:
  ThreadPool pool_{GetParam()};
};

/// Runs one parallel_for and checks the contract: every item once, blocks whole and aligned.
void expect_exact_cover(ThreadPool& pool, std::int64_t count, std::int64_t block) {
  std::vector<int> touched(static_cast<std::size_t>(count), 0);  // plain: a double run is a race
  std::atomic<int> bad_calls{0};
  pool.parallel_for(count, block, [&](std::int64_t begin, std::int64_t end, int thread) {
    const bool good = begin % block == 0 && begin < end && end <= count &&
                      (end - begin == block || end == count) && thread >= 0 &&
                      thread < pool.threads();
    if (!good) ++bad_calls;
    for (std::int64_t i = begin; i < end; ++i) ++touched[static_cast<std::size_t>(i)];
  });
  EXPECT_EQ(bad_calls, 0);
  for (std::int64_t i = 0; i < count; ++i)
    ASSERT_EQ(touched[static_cast<std::size_t>(i)], 1)
        << "item " << i << " of " << count << ", block " << block;
}

TEST_P(ThreadPoolTest, CoversEveryItemOnce) {
  EXPECT_EQ(pool_.threads(), GetParam());
  for (const std::int64_t count : {0, 1, 2, 3, 7, 64, 65, 1000, 4097})
    for (const std::int64_t block : {1, 2, 5, 64, 100000}) expect_exact_cover(pool_, count, block);
}

TEST_P(ThreadPoolTest, ZeroCountCallsNothing) {
  pool_.parallel_for(0, 8, [](std::int64_t, std::int64_t, int) { FAIL(); });
}

TEST_P(ThreadPoolTest, CallerIsThreadZero) {
  const auto caller = std::this_thread::get_id();
  std::atomic<int> wrong{0};
  for (int repeat = 0; repeat < 200; ++repeat)
    pool_.parallel_for(16, 1, [&](std::int64_t, std::int64_t, int thread) {
      if ((std::this_thread::get_id() == caller) != (thread == 0)) ++wrong;
    });
  EXPECT_EQ(wrong, 0);
}

TEST_P(ThreadPoolTest, ManyShortPieces) {
  std::vector<std::int64_t> cells(37, 0);
  constexpr int kRepeats = 20000;
  for (int repeat = 0; repeat < kRepeats; ++repeat)
    pool_.parallel_for(37, 3, [&](std::int64_t begin, std::int64_t end, int) {
      for (std::int64_t i = begin; i < end; ++i) cells[static_cast<std::size_t>(i)] += i;
    });
  for (std::size_t i = 0; i < cells.size(); ++i)
    EXPECT_EQ(cells[i], static_cast<std::int64_t>(i) * kRepeats);
}

TEST_P(ThreadPoolTest, WakesAfterSleep) {
  for (int repeat = 0; repeat < 5; ++repeat) {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    expect_exact_cover(pool_, 500, 7);
  }
}

TEST_P(ThreadPoolTest, UnevenWorkIsStolen) {
  if (GetParam() == 1) return;  // nobody to steal from
  // Item 0 holds its thread until all others are done: its share can only be finished by thieves.
  constexpr std::int64_t kCount = 64;
  std::atomic<std::int64_t> done{0};
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(30);
  bool stolen = false;
  pool_.parallel_for(kCount, 1, [&](std::int64_t begin, std::int64_t, int) {
    if (begin == 0) {
      while (done.load() < kCount - 1 && std::chrono::steady_clock::now() < deadline)
        std::this_thread::yield();
      stolen = done.load() == kCount - 1;
    }
    ++done;
  });
  EXPECT_TRUE(stolen);
  EXPECT_EQ(done.load(), kCount);
}

TEST_P(ThreadPoolTest, DestroyedIdleAndAtWork) {
  for (int repeat = 0; repeat < 50; ++repeat) {
    ThreadPool short_lived(GetParam());
    if (repeat % 2) expect_exact_cover(short_lived, 10, 1);
  }
}

INSTANTIATE_TEST_SUITE_P(Threads, ThreadPoolTest, testing::Values(1, 2, 3, 4, 7));

TEST(AvailableProcessors, AtLeastOne) {
  EXPECT_GE(ThreadPool::available_processors(), 1);
  EXPECT_LE(ThreadPool::available_processors(),
            static_cast<int>(std::max(1u, std::thread::hardware_concurrency())));
}

}  // namespace
}  // namespace bobby
