#include "training/batches.h"

#include <algorithm>
#include <gtest/gtest.h>
#include <set>
#include <vector>

namespace bobby {
namespace {

std::vector<TrainingExample> some(std::size_t count) {
  std::vector<TrainingExample> examples(count);
  for (TrainingExample& each : examples) {
    each.tokens = {1, 2, 3};
    each.keys = 1;
  }
  return examples;
}

std::unique_ptr<BatchOrder> ours(std::size_t training, std::size_t validation, std::uint64_t seed,
                                 std::int64_t batch_size = 4) {
  return *BatchOrder::make({.seed = seed, .batch_size = batch_size}, some(training),
                           some(validation));
}

std::vector<Batch> pass(BatchOrder& order) {
  std::vector<Batch> batches;
  for (std::int64_t i = 0; i < order.batches_a_pass(); ++i)
    batches.push_back(order.next_training());
  return batches;
}

TEST(BatchOrder, APassTakesEveryExampleOnceAndKeepsTheTail) {
  const auto order = ours(23, 0, 1);
  EXPECT_EQ(order->batches_a_pass(), 6);
  for (int i = 0; i < 3; ++i) {
    const std::vector<Batch> batches = pass(*order);
    EXPECT_EQ(batches.back().size(), 3u);
    std::set<std::int64_t> seen;
    for (const Batch& batch : batches) seen.insert(batch.begin(), batch.end());
    EXPECT_EQ(seen.size(), 23u);
    EXPECT_EQ(*seen.rbegin(), 22);
  }
}

TEST(BatchOrder, TheOrderIsTheSeedsAndThePasss) {
  const auto first = ours(50, 0, 7), same = ours(50, 0, 7), other = ours(50, 0, 8);
  const auto a = pass(*first), b = pass(*first);
  EXPECT_NE(a, b);
  EXPECT_EQ(a, pass(*same));
  EXPECT_NE(a, pass(*other));
}

TEST(BatchOrder, EveryPlaceIsAsLikely) {
  // Where example 0 ends up among 5, over 4000 seeds: 800 each, and 4 sigma is 101.
  std::vector<int> places(5);
  for (std::uint64_t seed = 0; seed < 4000; ++seed) {
    const auto batches = pass(*ours(5, 0, seed, 1));
    for (std::size_t i = 0; i < 5; ++i) places[i] += batches[i] == Batch{0} ? 1 : 0;
  }
  for (const int count : places) EXPECT_NEAR(count, 800, 101);
}

TEST(BatchOrder, ValidationIsAlwaysTheSame) {
  const auto order = ours(5, 10, 1);
  const std::vector<Batch> all = {{0, 1, 2, 3}, {4, 5, 6, 7}, {8, 9}};
  EXPECT_EQ(order->next_validation(-1), all);
  order->next_training();
  EXPECT_EQ(order->next_validation(100), all);
  EXPECT_EQ(order->next_validation(1), std::vector<Batch>{all[0]});
  EXPECT_TRUE(order->next_validation(0).empty());
  EXPECT_TRUE(ours(5, 0, 1)->next_validation(-1).empty());
}

TEST(BatchOrder, GoingOnFromAPositionIsGoingOn) {
  for (const bool compat : {false, true}) {
    const auto training = some(11), validation = some(9);
    const BatchOptions options{.compat_mlx = compat, .seed = 3, .batch_size = 2};
    auto whole = *BatchOrder::make(options, training, validation);
    auto broken = *BatchOrder::make(options, training, validation);
    for (int i = 0; i < 37; ++i) {
      auto next = *BatchOrder::make(options, training, validation);
      ASSERT_TRUE(next->restore(broken->position()));
      EXPECT_EQ(next->position(), broken->position());
      broken = std::move(next);
      ASSERT_EQ(whole->next_training(), broken->next_training());
      if (i % 4 == 0) {
        ASSERT_EQ(whole->next_validation(2), broken->next_validation(2));
      }
    }
  }
}

TEST(BatchOrder, AStrangePositionIsRefused) {
  auto order = ours(11, 0, 3);
  EXPECT_FALSE(order->restore({.epoch = 0, .next = 99, .order = {}, .random = {}}));
  EXPECT_FALSE(order->restore({.epoch = -1, .next = 0, .order = {}, .random = {}}));
  auto compat = *BatchOrder::make({.compat_mlx = true, .batch_size = 2}, some(6), {});
  compat->next_training();
  BatchPosition position = compat->position();
  EXPECT_TRUE(compat->restore(position));
  EXPECT_FALSE(order->restore(position));
  position.order = {0, 0, 1};
  EXPECT_EQ(compat->restore(position).error().code, ErrorCode::kMismatch);
  position.order = {0, 1, 2, 3};
  EXPECT_FALSE(compat->restore(position));
  position.order = {2, 0, 1};
  EXPECT_TRUE(compat->restore(position));
  position.random.pop_back();
  EXPECT_EQ(compat->restore(position).error().code, ErrorCode::kMalformed);
}

TEST(BatchOrder, WhatMlxLmRefusesIsRefused) {
  EXPECT_FALSE(BatchOrder::make({.batch_size = 4}, {}, {}));
  EXPECT_TRUE(BatchOrder::make({.batch_size = 4}, some(3), {}));
  const auto few = BatchOrder::make({.compat_mlx = true, .batch_size = 4}, some(3), {});
  EXPECT_EQ(few.error().to_string(),
            "training set: has fewer examples than one batch, which mlx-lm refuses: expected at "
            "least batch_size = 4, found 3");
  EXPECT_FALSE(BatchOrder::make({.compat_mlx = true, .batch_size = 4}, some(4), some(3)));
  EXPECT_FALSE(BatchOrder::make({.compat_mlx = true, .seed = 1ull << 32}, some(4), {}));
}

TEST(ExampleRows, TargetsAreTheNextTokens) {
  TrainingExample example;
  example.tokens = {10, 11, 12, 13};
  example.loss_begin = 2;
  ExampleRows rows = example_rows(example, 0);
  EXPECT_EQ(rows.inputs, (std::vector<std::int32_t>{10, 11, 12}));
  EXPECT_EQ(rows.targets, (std::vector<std::int32_t>{11, 12, 13}));
  EXPECT_EQ(rows.trained, (std::vector<bool>{false, true, true}));
  EXPECT_EQ(rows.trained_rows, example.trained_tokens());
  rows = example_rows(example, 33);
  EXPECT_EQ(rows.inputs, example.tokens);
  EXPECT_EQ(rows.targets, (std::vector<std::int32_t>{11, 12, 13, 0}));
  EXPECT_EQ(rows.trained_rows, 3);
  EXPECT_EQ(example_rows(example, 4).trained_rows, 2);  // no room for a padding target
  example.loss_begin = 9;
  EXPECT_EQ(example_rows(example, 33).trained_rows, 0);
  example.tokens = {5};
  EXPECT_EQ(example_rows(example, 0).inputs.size(), 0u);
  example.tokens = {};
  EXPECT_EQ(example_rows(example, 33).inputs.size(), 0u);
}

TEST(PlanPacks, NeighboursShareABudget) {
  using Packs = std::vector<std::vector<std::int64_t>>;
  const std::vector<std::int64_t> lengths = {3, 4, 3, 20, 1, 9, 1};
  EXPECT_EQ(plan_packs(lengths, 10), (Packs{{0, 1, 2}, {3}, {4, 5}, {6}}));
  EXPECT_EQ(plan_packs(lengths, 1000), (Packs{{0, 1, 2, 3, 4, 5, 6}}));
  EXPECT_EQ(plan_packs(lengths, 0).size(), lengths.size());
  EXPECT_TRUE(plan_packs({}, 10).empty());
}

}  // namespace
}  // namespace bobby
