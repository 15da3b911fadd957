#include "cli/rate_view.h"

#include <gtest/gtest.h>

namespace bobby::cli {
namespace {

TEST(RateView, BarRateAndWhatIsLeft) {
  const Progress half = {.phase = "quantize", .done = 8'000'000'000, .total = 16'000'000'000};
  EXPECT_EQ(RateView::line(half, 0, 0), "quantize  [############............]  50% of 16.00 GB");
  EXPECT_EQ(RateView::line(half, 0, 8),
            "quantize  [############............]  50% of 16.00 GB  1000 MB/s  0:08 left");
  // What an earlier run did is no part of the rate.
  EXPECT_EQ(RateView::line(half, 7'000'000'000, 10),
            "quantize  [############............]  50% of 16.00 GB  100 MB/s  1:20 left");
  EXPECT_EQ(RateView::line(half, 7'990'000'000, 10),
            "quantize  [############............]  50% of 16.00 GB  1 MB/s  2:13:20 left");
  const Progress end = {.phase = "check", .done = 5, .total = 5};
  EXPECT_EQ(RateView::line(end, 0, 2),
            "check     [########################] 100% of 0.00 GB  0 MB/s");
  EXPECT_EQ(RateView::line({.phase = "check", .done = 0, .total = 0}, 0, 2),
            "check     [........................]   0% of 0.00 GB");
}

}  // namespace
}  // namespace bobby::cli
