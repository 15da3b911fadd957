#include "data/selection.h"

#include <gtest/gtest.h>
#include <map>
#include <set>

#include "base/hashing.h"

namespace bobby::data {
namespace {

std::vector<ChosenPost> posts(std::uint32_t count, double weight = 1) {
  std::vector<ChosenPost> posts;
  for (std::uint32_t i = 0; i < count; ++i)
    posts.push_back(
        {.post = i, .group = i, .hash = text_hash(std::to_string(i)), .weight = weight});
  return posts;
}

std::set<std::uint32_t> chosen_of(const std::vector<Record>& records) {
  std::set<std::uint32_t> chosen;
  for (const Record& record : records) chosen.insert(record.chosen);
  return chosen;
}

TEST(Selection, ValidationIsAShareOrANumber) {
  EXPECT_EQ(select_records(posts(1000), {.valid = 0.1}).valid.size(), 100u);
  EXPECT_EQ(select_records(posts(1000), {.valid = 30}).valid.size(), 30u);
  EXPECT_EQ(select_records(posts(1000), {.valid = 0}).valid.size(), 0u);
  EXPECT_EQ(select_records(posts(3), {.valid = 0.1}).valid.size(), 1u) << "at least one";
  EXPECT_EQ(select_records(posts(3), {.valid = 50}).train.size(), 1u) << "one is left to train on";
  EXPECT_EQ(select_records(posts(1), {.valid = 0.5}).train.size(), 1u);
  EXPECT_EQ(select_records({}, {}).train.size(), 0u);
}

TEST(Selection, EveryPostStandsOnOneSide) {
  const auto selection = select_records(posts(500), {.valid = 0.2, .seed = 3});
  EXPECT_EQ(selection.train.size() + selection.valid.size(), 500u);
  auto all = chosen_of(selection.train);
  all.merge(chosen_of(selection.valid));
  EXPECT_EQ(all.size(), 500u);
}

TEST(Selection, GroupsAreNotDivided) {
  auto some = posts(300);
  for (ChosenPost& post : some) post.group = post.post / 3 * 3;
  const auto selection = select_records(some, {.valid = 0.2, .seed = 1});
  for (const std::uint32_t chosen : chosen_of(selection.valid))
    for (std::uint32_t member = chosen / 3 * 3; member < chosen / 3 * 3 + 3; ++member)
      EXPECT_TRUE(chosen_of(selection.valid).contains(member)) << chosen;
  EXPECT_EQ(selection.valid.size(), 60u);
}

TEST(Selection, ASeedDecidesAndAnotherDecidesOtherwise) {
  const auto records = [](std::uint64_t seed) {
    std::vector<std::uint32_t> order;
    for (const Record& record : select_records(posts(200), {.valid = 0.1, .seed = seed}).train)
      order.push_back(record.chosen);
    return order;
  };
  EXPECT_EQ(records(1), records(1));
  EXPECT_NE(records(1), records(2));
}

TEST(Selection, NewPostsLeaveOldOnesWhereTheyWere) {
  const auto before = chosen_of(select_records(posts(1000), {.valid = 100}).valid);
  const auto after = chosen_of(select_records(posts(1050), {.valid = 105}).valid);
  std::size_t kept = 0;
  for (const std::uint32_t chosen : before) kept += after.contains(chosen) ? 1 : 0;
  EXPECT_GE(kept, 90u);
}

TEST(Selection, WeightsAreCopiesAndChances) {
  const auto thrice = select_records(posts(100, 3), {.valid = 0.1});
  EXPECT_EQ(thrice.train.size(), 270u);
  EXPECT_EQ(thrice.valid.size(), 10u) << "validation is not weighted";
  std::map<std::uint32_t, std::set<std::uint32_t>> copies;
  for (const Record& record : thrice.train) copies[record.chosen].insert(record.copy);
  for (const auto& [chosen, numbers] : copies)
    EXPECT_EQ(numbers, (std::set<std::uint32_t>{0, 1, 2}));
  // 4000 chances of one half: 2000, give or take five standard deviations of 31.6.
  const auto half = select_records(posts(4000, 0.5), {.valid = 0});
  EXPECT_NEAR(static_cast<double>(half.train.size()), 2000.0, 5 * 31.6);
  const auto more = select_records(posts(4000, 2.5), {.valid = 0});
  EXPECT_NEAR(static_cast<double>(more.train.size()), 10000.0, 5 * 31.6);
}

}  // namespace
}  // namespace bobby::data
