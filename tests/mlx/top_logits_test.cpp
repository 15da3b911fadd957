// What a GPU tells of a row of logits, against the row itself. A CPU's memory the host reads
// itself.

#include <algorithm>
#include <cmath>
#include <limits>

#include "mlx/mlx_fixture.h"

namespace bobby::test {
namespace {

class MlxTopLogitsTest : public MlxFixture {
 protected:
  void SetUp() override {
    const DeviceTensor row(*mlx_, 1, 4, {1, 2, 3, 4});
    if (mlx_->top_logits(row).value().empty()) GTEST_SKIP() << mlx_->description();
  }
};

TEST_P(MlxTopLogitsTest, ListsAllTokensAboveTheFloor) {
  for (const auto& [rows, cols] : {std::pair{1, 5}, {1, 151936}, {10, 49152}, {6, 3001}}) {
    SCOPED_TRACE(testing::Message() << rows << " x " << cols);
    std::vector<float> logits = random_.normals(std::int64_t{rows} * cols);
    for (float& logit : logits) logit *= 3.0f;
    const DeviceTensor on_device(*mlx_, rows, cols, logits);
    const auto tops = mlx_->top_logits(on_device);
    ASSERT_TRUE(tops) << tops.error().to_string();
    ASSERT_EQ(tops->size(), static_cast<std::size_t>(rows));
    for (int r = 0; r < rows; ++r) {
      const auto row = std::span(logits).subspan(static_cast<std::size_t>(r) * cols, cols);
      const TopLogits& top = (*tops)[r];
      EXPECT_TRUE(top.finite);
      EXPECT_EQ(top.largest, *std::ranges::max_element(row));
      double sum = 0.0;
      for (const float logit : row) sum += std::exp(double{logit} - double{top.largest});
      // The logarithm of a sum is rounded to half an ulp of up to 32. A GPU adds up in a tree; on a
      // CPU each of some eight lanes adds up its share of the row.
      const bool on_cpu = mlx_->description().find("on CPU") != std::string::npos;
      const double roundings = gamma(on_cpu ? cols / 8 + 50 : 200);
      EXPECT_NEAR(top.sum_exp, sum, sum * (32 * 0x1p-24 + roundings));
      std::vector<std::int32_t> expected;
      for (int id = 0; id < cols; ++id)
        if (row[id] >= top.floor) expected.push_back(id);
      if (top.tokens.empty()) {
        EXPECT_GT(expected.size(), 512u);
        continue;
      }
      std::vector<std::int32_t> listed(top.tokens.begin(), top.tokens.end());
      for (std::size_t i = 0; i < listed.size(); ++i) EXPECT_EQ(top.logits[i], row[listed[i]]);
      std::ranges::sort(listed);
      EXPECT_EQ(listed, expected);
    }
  }
}

TEST_P(MlxTopLogitsTest, SeesOneBadLogitAnywhere) {
  for (const float bad :
       {std::numeric_limits<float>::infinity(), -std::numeric_limits<float>::infinity(),
        std::numeric_limits<float>::quiet_NaN()}) {
    for (const std::size_t at : {0, 1, 999, 1000, 1999}) {
      std::vector<float> logits(2000, 1.0f);
      logits[at] = bad;
      const DeviceTensor on_device(*mlx_, 2, 1000, logits);
      const auto tops = mlx_->top_logits(on_device);
      ASSERT_TRUE(tops);
      EXPECT_EQ((*tops)[0].finite, at >= 1000) << bad << " at " << at;
      EXPECT_EQ((*tops)[1].finite, at < 1000) << bad << " at " << at;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Ways, MlxTopLogitsTest, testing::Bool(), way_name);

}  // namespace
}  // namespace bobby::test
