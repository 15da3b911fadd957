#include "model/rope.h"

#include <cmath>
#include <gtest/gtest.h>
#include <numbers>

namespace bobby {
namespace {

ModelConfig config_of(std::int64_t head_dim, RopeScaling scaling = {}) {
  ModelConfig config;
  config.head_dim = head_dim;
  config.rope_theta = 10000.0f;
  config.rope_scaling = scaling;
  return config;
}

TEST(Rope, FrequenciesFallFromOneByPowersOfTheta) {
  const auto plain = rope_inv_freq(config_of(8));
  ASSERT_EQ(plain.size(), 4u);
  const float expected[] = {1.0f, 0.1f, 0.01f, 0.001f};
  for (std::size_t i = 0; i < 4; ++i) EXPECT_FLOAT_EQ(plain[i], expected[i]);
  const auto linear =
      rope_inv_freq(config_of(8, {.type = RopeScaling::Type::kLinear, .factor = 4.0f}));
  for (std::size_t i = 0; i < 4; ++i) EXPECT_FLOAT_EQ(linear[i], expected[i] / 4);
}

// The three regions of Llama 3.1: short waves kept, long ones divided, a ramp between that meets
// both.
TEST(Rope, Llama3KeepsShortWavesDividesLongOnesAndBlends) {
  const RopeScaling scaling{.type = RopeScaling::Type::kLlama3,
                            .factor = 8.0f,
                            .low_freq_factor = 1.0f,
                            .high_freq_factor = 4.0f,
                            .original_max_position_embeddings = 8192};
  const auto plain = rope_inv_freq(config_of(128));
  const auto scaled = rope_inv_freq(config_of(128, scaling));
  int kept = 0, divided = 0, blended = 0;
  for (std::size_t i = 0; i < plain.size(); ++i) {
    const double wavelength = 2 * std::numbers::pi / plain[i];
    const float ratio = plain[i] / scaled[i];
    if (wavelength < 8192.0 / 4) {
      EXPECT_FLOAT_EQ(ratio, 1.0f);
      ++kept;
    } else if (wavelength > 8192.0) {
      EXPECT_FLOAT_EQ(ratio, 8.0f);
      ++divided;
    } else {
      EXPECT_GT(ratio, 1.0f);
      EXPECT_LT(ratio, 8.0f);
      ++blended;
    }
  }
  EXPECT_GT(kept, 0);
  EXPECT_GT(divided, 0);
  EXPECT_GT(blended, 0);
}

}  // namespace
}  // namespace bobby
