// A decode step as one kernel gives the bits that its operations give one by one: in every number
// of rows, over lengths about the ends of blocks and chunks, with adapters that differ from row to
// row.

#include "cuda/step_model.h"

namespace bobby::test {
namespace {

// Shares that are uneven over 128 blocks, part quarters, stretches of several sizes.
const StepShape kShapes[] = {
    {3, 512, 8, 2, 1216, 1040},
    {2, 1024, 4, 4, 3072, 2080, DType::kF16, KvFormat::kInt8, false},
    {2, 2560, 32, 8, 9728, 4112},
    {2, 4096, 32, 8, 12288, 40000},
};

class CudaStep : public CudaFixture {
 protected:
  /// Rows that stand at `positions`, with scattered blocks and random tokens.
  std::vector<StepRow> rows(const StepShape& shape, const std::vector<std::int64_t>& positions,
                            std::int64_t steps) {
    std::vector<StepRow> rows;
    std::int32_t next = 0;
    for (const std::int64_t position : positions) {
      StepRow row{static_cast<std::int32_t>(random_.integer(shape.vocab)), position, {}, nullptr};
      for (std::int64_t b = 0; b * 32 < position + steps; ++b) row.blocks.push_back(next++);
      random_.shuffle(row.blocks);
      rows.push_back(row);
    }
    return rows;
  }
  /// From empty caches to where the rows stand would be long: the cache is filled from position 0
  /// on only where a test is about that.
  void expect_same(StepModel& together, StepModel& apart, std::vector<StepRow> rows, int steps,
                   const StepShape& shape) {
    for (int i = 0; i < steps; ++i) {
      const auto expected = apart.step(rows, true);
      const auto expected_x = apart.x();
      const auto actual = together.step(rows, false);
      expect_same_bits(together.x(), expected_x);
      expect_same_bits(actual, expected);
      for (const float value : actual) ASSERT_TRUE(std::isfinite(value));
      if (HasFatalFailure() || HasNonfatalFailure()) FAIL() << "step " << i;
      for (StepRow& row : rows) {
        ++row.position;
        row.token = static_cast<std::int32_t>(random_.integer(shape.vocab));
      }
    }
  }
};

TEST_F(CudaStep, IsItsOperations) {
  for (const StepShape& shape : kShapes) {
    StepModel together(*cuda_, shape, 200, 12), apart(*cuda_, shape, 200, 12);
    const StepAdapter eight(*cuda_, shape, 8, shape.layers - 1, random_);
    const StepAdapter five(*cuda_, shape, 5, 0, random_), many(*cuda_, shape, 24, 0, random_);
    const StepAdapter sixteen(*cuda_, shape, 16, 0, random_);
    for (const std::vector<std::int64_t>& positions :
         std::vector<std::vector<std::int64_t>>{{0},
                                                {14},
                                                {254},
                                                {600},
                                                {30, 255},
                                                {3, 700, 62},
                                                {255, 15, 256, 1000},
                                                {0, 31, 32, 300, 63},
                                                {10, 11, 12, 13, 14, 15, 16, 290},
                                                {5, 40, 1, 2, 3, 4, 500, 31, 32, 33},
                                                {9, 8, 7, 6, 5, 4, 3, 2, 1, 0, 256, 64}}) {
      SCOPED_TRACE(testing::Message()
                   << shape.hidden << " wide, " << positions.size() << " rows at " << positions[0]);
      auto rows = this->rows(shape, positions, 4);
      expect_same(together, apart, rows, 4, shape);
      for (StepRow& row : rows) row.adapter = &eight;
      expect_same(together, apart, rows, 2, shape);
      if (rows.size() > 1) rows[1].adapter = nullptr;
      if (rows.size() > 2) rows[2].adapter = &five;
      rows[0].adapter = rows.size() > 4 ? &sixteen : &many;
      expect_same(together, apart, rows, 2, shape);
      if (HasFatalFailure() || HasNonfatalFailure()) return;
    }
  }
}

// A whole text, so that every position before the last was stored by a step.
TEST_F(CudaStep, LongTextsAreTheirOperations) {
  for (StepShape shape : {kShapes[0], kShapes[1]}) {
    StepModel together(*cuda_, shape, 40, 2), apart(*cuda_, shape, 40, 2);
    expect_same(together, apart, rows(shape, {0, 7}, 290), 290, shape);
  }
}

TEST_F(CudaStep, RowsAreTheSameAloneOrInCompany) {
  const StepShape shape = kShapes[0];
  StepModel model(*cuda_, shape, 200, 4);
  const StepAdapter adapter(*cuda_, shape, 8, 0, random_);
  auto rows = this->rows(shape, {20, 300, 31, 255}, 1);
  rows[1].adapter = rows[2].adapter = &adapter;
  const auto all = model.step(rows, false);
  for (std::size_t i = 0; i < rows.size(); ++i)
    expect_same_bits(model.step({rows[i]}, false),
                     rows_of(all, shape.vocab, static_cast<std::int64_t>(i), 1));
  expect_same_bits(model.step({rows[1], rows[2]}, false), rows_of(all, shape.vocab, 1, 2));
}

// What was noted of a step is done before anything else looks.
TEST_F(CudaStep, PartsOfAStepAreDoneWhenSomethingGoes) {
  const StepShape shape = kShapes[0];
  StepModel model(*cuda_, shape, 20, 4);
  auto rows = this->rows(shape, {5}, 1);
  const auto expected = model.step(rows, false);
  {
    const StepAdapter adapter(*cuda_, shape, 8, 0, random_);
    rows[0].adapter = &adapter;
    model.enqueue(rows, false);
  }  // the adapter goes; the step ran with it
  EXPECT_TRUE(cuda_->sync());
  rows[0].adapter = nullptr;
  expect_same_bits(model.step(rows, false), expected);
}

TEST_F(CudaStep, OtherAdaptersAndSaturationAreTheOperations) {
  const StepShape shape = kShapes[0];
  StepModel together(*cuda_, shape, 20, 4), apart(*cuda_, shape, 20, 4);
  const StepAdapter dora(*cuda_, shape, 8, 0, random_, true);
  auto rows = this->rows(shape, {5, 40}, 2);
  rows[1].adapter = &dora;
  expect_same(together, apart, rows, 2, shape);
  EXPECT_EQ(together.kv().saturated(), apart.kv().saturated());
}

}  // namespace
}  // namespace bobby::test
