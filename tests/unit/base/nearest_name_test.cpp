#include "base/nearest_name.h"

#include <array>
#include <gtest/gtest.h>

namespace bobby {
namespace {

TEST(NearestName, CountsEdits) {
  constexpr std::array<std::string_view, 4> kNames = {"top_p", "top_k", "temperature", "min_p"};
  EXPECT_EQ(nearest_name("temprature", kNames), "temperature");
  EXPECT_EQ(nearest_name("topk", kNames), "top_k");
  EXPECT_EQ(nearest_name("minp", kNames), "min_p");
  EXPECT_EQ(nearest_name("top_", kNames), "top_p") << "the first of equals";
  EXPECT_EQ(nearest_name("", kNames), "top_p") << "the shortest";
  EXPECT_EQ(nearest_name("x", {}), "");
}

}  // namespace
}  // namespace bobby
