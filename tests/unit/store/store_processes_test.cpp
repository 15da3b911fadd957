// Several processes on one store, and processes that die while they write.

#include <cerrno>
#include <csignal>
#include <fmt/format.h>
#include <random>
#include <set>
#include <vector>

#include "store_fixture.h"

namespace bobby::store::testing {
namespace {

using StoreProcessesTest = StoreTest;

std::string text_of(int round, std::int64_t number) {
  return fmt::format("round-{}-number-{} ", round, number) + std::string(300, 'x');
}

/// Keeps writing drafts and tells `acknowledged` the number of each once it has been answered.
int write_for_ever(const fs::path& path, int round, int acknowledged) {
  auto store = DraftStore::open(path);
  if (!store) return 1;
  for (std::int64_t number = 0;; ++number) {
    const auto made = (*store)->create({.text = text_of(round, number)});
    if (!made) return 2;
    if (::write(acknowledged, &number, sizeof number) != sizeof number) return 3;
    // Removing and changing, too: the log then holds more than one kind of page.
    if (number % 3 == 2 && !(*store)->update(made->id, {.status = "approved"})) return 4;
  }
}

TEST_F(StoreProcessesTest, WhatWasAnsweredSurvivesKill) {
  std::mt19937 random(20251128);  // NOLINT: the same moments each time
  std::int64_t answered = 0;
  for (int round = 0; round < 12; ++round) {
    int ends[2];
    ASSERT_EQ(::pipe(ends), 0);
    const pid_t child = in_child([&] {
      ::close(ends[0]);
      return write_for_ever(path_, round, ends[1]);
    });
    ::close(ends[1]);
    ::usleep(20'000 + random() % 60'000);
    // At a moment that has nothing to do with the answers.
    ASSERT_EQ(::kill(child, SIGKILL), 0);
    ASSERT_EQ(ended(child), -SIGKILL) << "the child ended by itself";
    std::vector<std::int64_t> numbers;
    for (std::int64_t number = 0; ::read(ends[0], &number, sizeof number) == sizeof number;)
      numbers.push_back(number);
    ::close(ends[0]);

    auto store = open();
    ASSERT_TRUE(store);
    ASSERT_TRUE(store->check());
    std::set<std::string> texts;
    const DraftPage page =
        store->list({.query = fmt::format("round-{}-number", round), .limit = 100'000}).value();
    for (const Draft& each : page.drafts) texts.insert(each.text);
    for (const std::int64_t number : numbers)
      EXPECT_TRUE(texts.contains(text_of(round, number))) << round << ": " << number;
    // One more may have been written than answered.
    EXPECT_LE(page.total, static_cast<std::int64_t>(numbers.size()) + 1);
    answered += static_cast<std::int64_t>(numbers.size());
  }
  EXPECT_GT(answered, 12);
  fmt::print("{} drafts answered in 12 processes that were killed; all found\n", answered);
}

TEST_F(StoreProcessesTest, ProcessesOpenAndWriteAtOnce) {
  constexpr int kProcesses = 4;
  constexpr int kEach = 50;
  std::vector<pid_t> children;
  // All of them make the file at the same moment.
  for (int p = 0; p < kProcesses; ++p)
    children.push_back(in_child([&] {
      auto store = DraftStore::open(path_, {.busy_timeout = std::chrono::seconds(60)});
      if (!store) {
        fmt::print(stderr, "{}\n", store.error().to_string());
        return 1;
      }
      for (int i = 0; i < kEach; ++i) {
        if (const auto made = (*store)->create({.text = fmt::format("{} of {}", i, p)}); !made) {
          fmt::print(stderr, "{}\n", made.error().to_string());
          return 2;
        }
        if (!(*store)->list({.query = "of", .limit = 5})) return 3;
      }
      return 0;
    }));
  for (const pid_t child : children) EXPECT_EQ(ended(child), 0);
  auto store = open();
  const DraftPage page = store->list({.limit = 1000}).value();
  std::set<std::string> texts;
  for (const Draft& each : page.drafts) texts.insert(each.text);
  EXPECT_EQ(page.drafts.size(), static_cast<std::size_t>(kProcesses * kEach));
  EXPECT_EQ(texts.size(), page.drafts.size());
  EXPECT_TRUE(store->check());
}

TEST_F(StoreProcessesTest, ACopyIsWholeWhileAnotherProcessWrites) {
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  const pid_t child = in_child([&] { return write_for_ever(path_, 0, ends[1]); });
  ::close(ends[1]);
  std::int64_t number = 0;
  while (number < 5) ASSERT_EQ(::read(ends[0], &number, sizeof number), ssize_t(sizeof number));
  auto store = open();
  const auto written = store->backup(folder_ / "copy");
  ::kill(child, SIGKILL);
  EXPECT_EQ(ended(child), -SIGKILL);
  ::close(ends[0]);
  ASSERT_TRUE(written) << written.error().to_string();
  auto copy = DraftStore::open(folder_ / "copy");
  ASSERT_TRUE(copy) << copy.error().to_string();
  EXPECT_TRUE((*copy)->check());
  EXPECT_GE((*copy)->list({}).value().total, 6);
}

}  // namespace
}  // namespace bobby::store::testing
