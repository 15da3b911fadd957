// What the device tells of a row of logits, against the row itself.

#include <algorithm>
#include <cmath>
#include <limits>

#include "cuda/cuda_fixture.h"

namespace bobby::test {
namespace {

using CudaTopLogitsTest = CudaFixture;

TEST_F(CudaTopLogitsTest, ListsAllTokensAboveTheFloor) {
  for (const auto& [rows, cols] : {std::pair{1, 5}, {1, 151936}, {10, 49152}, {64, 3001}}) {
    SCOPED_TRACE(testing::Message() << rows << " x " << cols);
    std::vector<float> logits = random_.normals(std::int64_t{rows} * cols);
    for (float& logit : logits) logit *= 3.0f;
    const DeviceTensor on_device(*cuda_, rows, cols, logits);
    const auto tops = cuda_->top_logits(on_device);
    ASSERT_TRUE(tops) << tops.error().to_string();
    ASSERT_EQ(tops->size(), static_cast<std::size_t>(rows));
    for (int r = 0; r < rows; ++r) {
      const auto row = std::span(logits).subspan(static_cast<std::size_t>(r) * cols, cols);
      const TopLogits& top = (*tops)[r];
      EXPECT_TRUE(top.finite);
      EXPECT_EQ(top.largest, *std::ranges::max_element(row));
      double sum = 0.0;
      for (const float logit : row) sum += std::exp(double{logit} - double{top.largest});
      // fp32: a lane adds up a 16,384th of the row, each exp to 4 roundings, and takes it to a
      // larger logit at most three times (6 each); then 5 levels, 8 warps and two more exps.
      EXPECT_NEAR(top.sum_exp, sum, sum * (cols / 16384.0 + 50) * 0x1p-24);
      std::vector<std::int32_t> expected;
      for (int id = 0; id < cols; ++id)
        if (row[id] >= top.floor) expected.push_back(id);
      if (expected.size() > 512) {
        EXPECT_TRUE(top.tokens.empty());
        continue;
      }
      std::vector<std::int32_t> listed(top.tokens.begin(), top.tokens.end());
      for (std::size_t i = 0; i < listed.size(); ++i) EXPECT_EQ(top.logits[i], row[listed[i]]);
      std::ranges::sort(listed);
      EXPECT_EQ(listed, expected);
    }
  }
}

TEST_F(CudaTopLogitsTest, ARowHasTheSameBitsAloneAndInCompany) {
  constexpr int kRows = 17, kCols = 20001;
  std::vector<float> logits = random_.normals(std::int64_t{kRows} * kCols);
  for (float& logit : logits) logit *= 6.0f;  // so that some are listed
  const DeviceTensor on_device(*cuda_, kRows, kCols, logits);
  const auto together = cuda_->top_logits(on_device);
  ASSERT_TRUE(together);
  const std::vector<TopLogits> rows(together->begin(), together->end());  // but for what they list
  for (int r = 0; r < kRows; ++r) {
    const Activation row = Activation(on_device).slice(r, 1);
    for (int again = 0; again < 2; ++again) {
      const auto alone = cuda_->top_logits(row);
      ASSERT_TRUE(alone);
      EXPECT_EQ(alone->front().largest, rows[static_cast<std::size_t>(r)].largest);
      EXPECT_EQ(alone->front().sum_exp, rows[static_cast<std::size_t>(r)].sum_exp);
      EXPECT_FALSE(alone->front().tokens.empty());
      EXPECT_EQ(alone->front().tokens.size(), rows[static_cast<std::size_t>(r)].tokens.size());
    }
  }
}

TEST_F(CudaTopLogitsTest, SeesOneBadLogitAnywhere) {
  for (const float bad :
       {std::numeric_limits<float>::infinity(), -std::numeric_limits<float>::infinity(),
        std::numeric_limits<float>::quiet_NaN()}) {
    for (const std::size_t at : {0, 1, 999, 1000, 1999}) {
      std::vector<float> logits(2000, 1.0f);
      logits[at] = bad;
      const DeviceTensor on_device(*cuda_, 2, 1000, logits);
      const auto tops = cuda_->top_logits(on_device);
      ASSERT_TRUE(tops);
      EXPECT_EQ((*tops)[0].finite, at >= 1000) << bad << " at " << at;
      EXPECT_EQ((*tops)[1].finite, at < 1000) << bad << " at " << at;
    }
  }
}

}  // namespace
}  // namespace bobby::test
