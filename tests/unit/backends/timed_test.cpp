// TimedBackend: the same results as without, stages by what they are, bytes and calls that add up.

#include "backends/timed/timed.h"

#include "backend_fixture.h"
#include "backends/reference/reference.h"

namespace bobby {
namespace {

using namespace test;

TEST(TimedBackendTest, NamesCountsAndPassesOn) {
  Random random(3);
  const WeightBytes up_bytes(affine(4, 32), 8, 64, random);
  const WeightBytes down_bytes(dense(DType::kF32), 6, 64, random);
  WeightView up_view = up_bytes.view();
  WeightView down_view = down_bytes.view();
  up_view.name = "model.layers.0.mlp.up_proj";
  down_view.name = "lm_head.weight";
  auto plain = make_reference_backend();
  const auto timed = make_timed_backend(make_reference_backend());
  const auto up = timed->load_weight(up_view).value();
  const auto down = timed->load_weight(down_view).value();

  std::vector<float> x = random.activations(2 * 64);
  std::vector<float> out(2 * (8 + 6));
  std::vector<float> expected(out.size());
  const auto projections = [&](std::vector<float>& to) {
    std::vector<Projection> both(2);
    both[0].weight = up.get();
    both[0].out = {to.data(), 2, 8};
    both[1].weight = down.get();
    both[1].out = {to.data() + 16, 2, 6};
    return both;
  };
  const auto to_expected = projections(expected);
  const auto to_out = projections(out);
  plain->linear({x.data(), 2, 64}, to_expected);
  timed->linear({x.data(), 2, 64}, to_out);
  timed->linear({x.data(), 2, 64}, to_out);
  timed->add({x.data(), 2, 64}, {x.data(), 2, 64});
  EXPECT_EQ(out, expected);
  EXPECT_EQ(timed->name(), plain->name());

  const std::vector<StageTime> stages = timed->stages();
  ASSERT_EQ(stages.size(), 2u);
  EXPECT_EQ(stages[0].name, "up_proj lm_head");
  EXPECT_EQ(stages[0].calls, 2);
  EXPECT_EQ(stages[0].weight_bytes, 2 * (up_view.total_bytes() + down_view.total_bytes()));
  EXPECT_GT(stages[0].milliseconds, 0.0);
  EXPECT_EQ(stages[1].name, "add");
  EXPECT_EQ(stages[1].weight_bytes, 0u);
  timed->reset();
  EXPECT_TRUE(timed->stages().empty());
}

}  // namespace
}  // namespace bobby
