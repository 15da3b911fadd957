#include "training/optimizer.h"

#include <cmath>
#include <gtest/gtest.h>
#include <limits>
#include <vector>

namespace bobby {
namespace {

struct Tensors {
  std::vector<float> a = std::vector<float>(12, 0.5f), m = std::vector<float>(5, -0.25f);
  bool operator==(const Tensors&) const = default;
};

void step(Optimizer& optimizer, Tensors& tensors, int number) {
  std::vector<float> a(12), m(5);
  for (std::size_t i = 0; i < a.size(); ++i)
    a[i] = std::sin(static_cast<float>(number * 12) + static_cast<float>(i));
  for (std::size_t i = 0; i < m.size(); ++i) m[i] = a[i] / 3;
  const std::vector<ParameterUpdate> updates = {{"x.lora_a", tensors.a, a, 4, 3, true},
                                                {"x.m", tensors.m, m, 1, 5, false}};
  optimizer.step(1e-2f, updates);
}

std::vector<OptimizerConfig> all_kinds() {
  std::vector<OptimizerConfig> configs;
  for (const char* name : {"adam", "adamw", "muon", "sgd", "adafactor"})
    configs.push_back(
        {.kind = *find_optimizer(name), .adam = {}, .muon = {}, .sgd = {}, .adafactor = {}});
  configs[0].adam.bias_correction = true;
  configs[3].sgd.momentum = 0.9;
  configs[4].adafactor.beta_1 = 0.9;
  return configs;
}

TEST(Optimizer, ARestoredStateGoesOnToTheBit) {
  for (const OptimizerConfig& config : all_kinds()) {
    SCOPED_TRACE(optimizer_name(config.kind));
    auto whole = *Optimizer::make(config);
    auto broken = *Optimizer::make(config);
    Tensors expected, found;
    for (int i = 0; i < 9; ++i) {
      step(*whole, expected, i);
      step(*broken, found, i);
      const OptimizerState state = broken->state();
      EXPECT_EQ(state.step, static_cast<std::uint64_t>(i + 1));
      EXPECT_GE(state.tensors.size(), 2u);
      broken = *Optimizer::make(config);
      ASSERT_TRUE(broken->restore(state));
      EXPECT_EQ(broken->state(), state);
    }
    EXPECT_EQ(found, expected);
    EXPECT_NE(found, Tensors());
    // Without its state it is another run.
    auto forgetful = *Optimizer::make(config);
    step(*whole, expected, 9);
    step(*forgetful, found, 9);
    EXPECT_NE(found, expected);
  }
}

TEST(Optimizer, AnotherKindsStateIsRefused) {
  auto adam = *Optimizer::make({});
  Tensors tensors;
  step(*adam, tensors, 0);
  auto muon = *Optimizer::make(
      {.kind = OptimizerKind::kMuon, .adam = {}, .muon = {}, .sgd = {}, .adafactor = {}});
  const auto restored = muon->restore(adam->state());
  ASSERT_FALSE(restored);
  EXPECT_EQ(restored.error().to_string(),
            "optimizer state 'x.lora_a.m': belongs to another optimizer: expected NAME.v");
}

TEST(Optimizer, AStateOfOtherParametersIsRefused) {
  for (const OptimizerConfig& config : all_kinds()) {
    SCOPED_TRACE(optimizer_name(config.kind));
    auto optimizer = *Optimizer::make(config);
    Tensors tensors;
    step(*optimizer, tensors, 0);
    std::vector<ParameterUpdate> parameters = {{"x.lora_a", tensors.a, {}, 4, 3, true},
                                               {"x.m", tensors.m, {}, 1, 5, false}};
    EXPECT_TRUE(optimizer->restore(optimizer->state(), parameters));
    OptimizerState state = optimizer->state();
    state.tensors.front().values.pop_back();
    const auto cut = optimizer->restore(state, parameters);
    ASSERT_FALSE(cut);
    EXPECT_EQ(cut.error().problem, "has another size");
    EXPECT_EQ(cut.error().code, ErrorCode::kMismatch);
    parameters[0].name = "y.lora_a";
    EXPECT_FALSE(optimizer->restore(optimizer->state(), parameters));
  }
  EXPECT_FALSE((*Optimizer::make({}))->restore({.step = 1, .tensors = {{"m", {1}}, {"", {}}}}));
}

TEST(Optimizer, BiasCorrectionMakesTheFirstStepTheRate) {
  OptimizerConfig config;
  config.adam.bias_correction = true;
  auto adam = *Optimizer::make(config);
  std::vector<float> value = {1.0f}, gradient = {1e-3f};
  const std::vector<ParameterUpdate> updates = {{"x", value, gradient, 1, 1, true}};
  adam->step(0.01f, updates);
  EXPECT_NEAR(value[0], 0.99f, 1e-6f);
}

TEST(Optimizer, OptionsOutOfRangeAreRefused) {
  OptimizerConfig config;
  config.adam.beta_2 = 1;
  EXPECT_EQ(Optimizer::make(config).error().to_string(),
            "optimizer adam: betas must be in [0, 1), not 1");
  config = {};
  config.kind = OptimizerKind::kSgd;
  config.sgd.nesterov = true;
  EXPECT_FALSE(Optimizer::make(config));
}

TEST(ClipGradientNorm, OnlyLongerGradientsAreScaled) {
  std::vector<float> a = {3, 0}, b = {4};
  std::vector<std::span<float>> both = {a, b};
  EXPECT_EQ(clip_gradient_norm(both, 10), 5);
  EXPECT_EQ(a[0], 3);
  EXPECT_EQ(clip_gradient_norm(both, 1), 5);
  EXPECT_NEAR(gradient_norm(both), 1, 1e-6);
  b[0] = std::numeric_limits<float>::infinity();
  EXPECT_FALSE(std::isfinite(clip_gradient_norm(both, 1)));
  EXPECT_NEAR(a[0], 0.6f, 1e-6f);
}

}  // namespace
}  // namespace bobby
