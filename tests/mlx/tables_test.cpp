// What the MLX backend keeps about activations and rows, on MLX's CPU device.

#include <gtest/gtest.h>
#include <vector>

#include "backends/mlx/activation_table.h"
#include "backends/mlx/row_attention.h"

namespace bobby::test {
namespace {

using namespace mlx_backend;

class MlxTablesTest : public testing::Test {
 protected:
  mx::array zeros(int rows, int cols) const {
    return mx::zeros({rows, cols}, mx::float32, machine_.stream);
  }

  Machine machine_{.stream = mx::new_stream(mx::Device::cpu)};
};

// q stands where gate stood: nothing of gate is carried along, which would cost operations.
TEST_F(MlxTablesTest, WhatTakesAnothersPlaceIsReadAsItWasWritten) {
  ActivationTable table(machine_);
  std::vector<float> memory(96);
  const Activation gate{memory.data(), 1, 96}, q{memory.data(), 1, 32},
      k{memory.data() + 32, 1, 16};
  table.write(gate, zeros(1, 96));
  const mx::array queries = zeros(1, 32), keys = zeros(1, 16);
  table.write(q, queries);
  table.write(k, keys);
  EXPECT_EQ(table.read(q).id(), queries.id());
  EXPECT_EQ(table.read(k).id(), keys.id());
}

TEST_F(MlxTablesTest, RowsOfAnActivationChangeIt) {
  ActivationTable table(machine_);
  std::vector<float> memory(3 * 4);
  table.write({memory.data(), 3, 4}, zeros(3, 4));
  table.write({memory.data() + 4, 1, 4}, mx::ones({1, 4}, mx::float32, machine_.stream));
  mx::array all = mx::contiguous(table.read({memory.data(), 3, 4}), false, machine_.stream);
  mx::eval(all);
  for (int i = 0; i < 12; ++i) EXPECT_EQ(all.data<float>()[i], i / 4 == 1 ? 1.0f : 0.0f) << i;
}

// The table is made anew only where rows did not all move on alike.
TEST_F(MlxTablesTest, RowTableFollowsDecoding) {
  constexpr std::int64_t kBlockTokens = 16;
  RowTable table(machine_);
  const auto follow = [&](std::vector<std::int64_t> positions,
                          const std::vector<std::vector<std::int32_t>>& blocks) {
    std::vector<SequenceRows> sequences;
    for (std::size_t i = 0; i < positions.size(); ++i)
      sequences.push_back({static_cast<std::int64_t>(i), 1, positions[i], blocks[i]});
    table.follow(StepRows(sequences, kBlockTokens, machine_), kBlockTokens);
  };
  const auto expect = [&](const std::vector<std::int32_t>& numbers, std::size_t offset) {
    mx::array made = table.table();
    mx::eval(made);
    ASSERT_EQ(made.size(), numbers.size());
    for (std::size_t i = 0; i < numbers.size(); ++i)
      EXPECT_EQ(made.data<std::int32_t>()[i], numbers[i]) << i;
    EXPECT_EQ(table.offset().size(), offset);
  };
  follow({14, 3}, {{7, 2}, {5}});
  expect({14, 7, 2, 3, 5, 0}, 1);
  const auto first = table.table().id();
  follow({15, 4}, {{7, 2}, {5}});
  follow({16, 5}, {{7, 2}, {5}});
  expect({14, 7, 2, 3, 5, 0}, 3);
  EXPECT_EQ(table.table().id(), first);
  follow({17, 6}, {{7, 9}, {5}});  // another block where the first row stands
  expect({17, 7, 9, 6, 5, 0}, 1);
  follow({18, 6}, {{7, 9}, {5}});  // one moved on, the other did not
  expect({18, 7, 9, 6, 5, 0}, 1);
  follow({18}, {{7, 9}});
  expect({18, 7, 9}, 1);
  follow({2}, {{7, 9}});  // back
  expect({2, 7, 9}, 1);
}

}  // namespace
}  // namespace bobby::test
