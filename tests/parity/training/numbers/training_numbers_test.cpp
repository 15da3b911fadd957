// Random numbers, schedules and optimizers against numpy's and MLX's own.

#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "base/sha256.h"
#include "training/lora_init.h"
#include "training/mlx_random.h"
#include "training/numpy_random.h"
#include "training/optimizer.h"
#include "training/schedule.h"

namespace bobby {
namespace {

using Json = nlohmann::json;

Json golden(const std::string& name) {
  std::ifstream stream(std::string(BOBBY_SOURCE_DIR) + "/tests/parity/training/numbers/" + name);
  return Json::parse(stream);
}

std::string digest(std::span<const float> values) {
  return sha256_hex(std::as_bytes(values)).substr(0, 16);
}

TEST(NumpyRandom, PermutationsAreNumpys) {
  const Json all = golden("random.json");
  ASSERT_FALSE(all.at("permutations").empty());
  for (const Json& each : all.at("permutations")) {
    NumpyRandom random(each["seed"].get<std::uint32_t>());
    for (const Json& drawn : each["drawn"]) {
      const auto expected = drawn.get<std::vector<std::int64_t>>();
      EXPECT_EQ(random.permutation(static_cast<std::int64_t>(expected.size())), expected);
    }
    const auto large = random.permutation(70000);
    EXPECT_EQ(sha256_hex(std::as_bytes(std::span(large))), each["long_sha256"]);
  }
}

TEST(MlxRandom, UniformNumbersAreMlxs) {
  const Json all = golden("random.json");
  ASSERT_FALSE(all.at("uniforms").empty());
  for (const Json& each : all.at("uniforms")) {
    MlxRandom random(each["seed"].get<std::uint64_t>());
    random.skip();
    for (const Json& drawn : each["drawn"]) {
      const auto expected = drawn["values"].get<std::vector<float>>();
      std::vector<float> values(expected.size());
      random.uniform(drawn["low"], drawn["high"], values);
      EXPECT_EQ(values, expected);
    }
  }
}

TEST(LoraInit, FirstValuesAreMlxLms) {
  const Json all = golden("random.json");
  ASSERT_FALSE(all.at("adapters").empty());
  for (const Json& each : all.at("adapters")) {
    SCOPED_TRACE(each["family"]);
    const std::size_t rank = each["rank"];
    std::map<std::string, std::vector<float>> values;
    std::vector<LoraA> modules;
    for (const auto& [name, module] : each["modules"].items()) {
      auto& own = values[name];
      own.resize(module["inputs"].get<std::size_t>() * rank);
      modules.push_back({name, module["inputs"], own});
    }
    ASSERT_GE(modules.size(), 2u);
    ASSERT_TRUE(init_lora_a(each["seed"], modules));
    for (const auto& [name, module] : each["modules"].items()) {
      EXPECT_EQ(digest(values[name]), module["sha256"]) << name;
      const auto first = module["first"].get<std::vector<float>>();
      EXPECT_TRUE(std::equal(first.begin(), first.end(), values[name].begin())) << name;
    }
  }
}

TEST(LearningRate, SchedulesAreMlxs) {
  for (const Json& each : golden("schedules.json")) {
    const Json& config = each["config"];
    SCOPED_TRACE(config.dump());
    const auto kind = find_schedule(config["name"].get<std::string>());
    ASSERT_TRUE(kind);
    const ScheduleConfig schedule{.kind = *kind,
                                  .arguments = config["arguments"].get<std::vector<double>>(),
                                  .warmup = config.value("warmup", std::int64_t{0}),
                                  .warmup_init = config.value("warmup_init", 0.0)};
    ASSERT_EQ(check_schedule(schedule), "");
    const LearningRate rate(schedule);
    for (std::size_t i = 0; i < each["steps"].size(); ++i) {
      const float expected = each["rates"][i];
      // cos and pow of two libraries may part in the last bit; 1 + cos near -1 magnifies that.
      const float tolerance = 4e-7f * std::abs(expected) + 1e-7f * std::abs(rate.at(0)) + 1e-12f;
      EXPECT_NEAR(rate.at(each["steps"][i]), expected, tolerance) << each["steps"][i];
    }
  }
}

// The generator of the script: numbers that fp32 holds exactly.
class Numbers {
 public:
  explicit Numbers(std::uint32_t state) : state_(state) {}
  std::vector<float> draw(std::size_t count, double scale) {
    std::vector<float> values(count);
    for (float& value : values) {
      state_ = state_ * 1664525u + 1013904223u;
      value = static_cast<float>((static_cast<double>(state_ >> 8) / 8388608.0 - 1.0) * scale);
    }
    return values;
  }

 private:
  std::uint32_t state_;
};

struct Shape {
  std::string name;
  std::int64_t rows, cols;
  bool matrix;
  std::size_t size() const { return static_cast<std::size_t>(rows * cols); }
};

const std::vector<Shape>& shapes() {
  static const std::vector<Shape> all = {{"q_proj.lora_a", 24, 4, true},
                                         {"q_proj.lora_b", 4, 20, true},
                                         {"q_proj.m", 1, 20, false},
                                         {"v_proj.lora_a", 8, 12, true}};
  return all;
}

OptimizerConfig config_of(const std::string& name, const Json& o) {
  OptimizerConfig config{
      .kind = *find_optimizer(name), .adam = {}, .muon = {}, .sgd = {}, .adafactor = {}};
  if (name == "adam" || name == "adamw") {
    if (o.contains("betas")) config.adam.beta_1 = o["betas"][0], config.adam.beta_2 = o["betas"][1];
    config.adam.eps = o.value("eps", config.adam.eps);
    config.adam.weight_decay = o.value("weight_decay", config.adam.weight_decay);
    config.adam.bias_correction = o.value("bias_correction", false);
  } else if (name == "sgd") {
    config.sgd = {o.value("momentum", 0.0), o.value("weight_decay", 0.0), o.value("dampening", 0.0),
                  o.value("nesterov", false)};
  } else if (name == "muon") {
    config.muon = {o.value("momentum", 0.95), o.value("weight_decay", 0.01),
                   o.value("nesterov", true), o.value("ns_steps", std::int64_t{5})};
  } else {
    AdafactorOptions& a = config.adafactor;
    if (o.contains("eps")) a.eps_1 = o["eps"][0], a.eps_2 = o["eps"][1];
    if (o.contains("beta_1")) a.beta_1 = o["beta_1"].get<double>();
    a.clip_threshold = o.value("clip_threshold", a.clip_threshold);
    a.decay_rate = o.value("decay_rate", a.decay_rate);
    a.weight_decay = o.value("weight_decay", a.weight_decay);
    a.scale_parameter = o.value("scale_parameter", true);
    a.relative_step = o.value("relative_step", true);
    a.warmup_init = o.value("warmup_init", false);
  }
  return config;
}

// Elementwise arithmetic is the same to the bit, the last one of bias correction's pow apart.
// Adafactor's means and Muon's products add up in another order than MLX's, which may turn the
// rounding of values up to 0.5, by 2^-25 a step (3e-8); over 20 steps that is a walk, of about 4.5
// of them.
double tolerance(const std::string& name, const Json& options) {
  if (name == "adafactor" || name == "muon") return 1.4e-7;
  return options.value("bias_correction", false) ? 3e-8 : 0;
}

TEST(Optimizers, TwentyStepsAreMlxs) {
  const Json all = golden("optimizers.json");
  ASSERT_FALSE(all.at("optimizers").empty());
  for (const Json& each : all.at("optimizers")) {
    SCOPED_TRACE(each["name"].get<std::string>() + each["options"].dump());
    auto optimizer = Optimizer::make(config_of(each["name"], each["options"]));
    ASSERT_TRUE(optimizer) << optimizer.error().to_string();
    Numbers numbers(20261128);
    std::vector<std::vector<float>> values, first;
    for (const Shape& shape : shapes()) values.push_back(numbers.draw(shape.size(), 0.25));
    first = values;
    for (int step = 1; step <= 20; ++step) {
      std::vector<std::vector<float>> gradients;
      std::vector<ParameterUpdate> updates;
      for (const Shape& shape : shapes())
        gradients.push_back(numbers.draw(shape.size(), std::ldexp(1.0, -(3 + step % 10))));
      for (std::size_t i = 0; i < shapes().size(); ++i)
        updates.push_back({shapes()[i].name, values[i], gradients[i], shapes()[i].rows,
                           shapes()[i].cols, shapes()[i].matrix});
      (*optimizer)->step(1e-2f, updates);
      if (!each["steps"].contains(std::to_string(step))) continue;
      for (std::size_t i = 0; i < shapes().size(); ++i) {
        const auto expected =
            each["steps"][std::to_string(step)][shapes()[i].name].get<std::vector<float>>();
        double worst = 0, change = 0;
        for (std::size_t k = 0; k < expected.size(); ++k) {
          worst = std::max(worst, std::abs(static_cast<double>(values[i][k]) - expected[k]));
          change = std::max(change, std::abs(static_cast<double>(expected[k]) - first[i][k]));
        }
        if (step == 20) {
          EXPECT_GT(change, 20 * tolerance(each["name"], each["options"]));
        }
        EXPECT_LE(worst, tolerance(each["name"], each["options"])) << shapes()[i].name << step;
      }
    }
  }
}

TEST(Optimizers, GradientsAreClippedAsMlxDoes) {
  const Json all = golden("optimizers.json");
  ASSERT_FALSE(all.at("clips").empty());
  for (const Json& each : all.at("clips")) {
    Numbers numbers(5);
    std::vector<std::vector<float>> gradients;
    for (const Shape& shape : shapes()) gradients.push_back(numbers.draw(shape.size(), 0.5));
    const std::vector<std::span<float>> views(gradients.begin(), gradients.end());
    const float norm = each["norm"];
    EXPECT_NEAR(clip_gradient_norm(views, each["max_norm"]), norm, 1e-6 * norm);
    const auto expected = each["clipped"].get<std::vector<float>>();
    for (std::size_t k = 0; k < expected.size(); ++k)
      EXPECT_NEAR(gradients[1][k], expected[k], 3e-7 * std::abs(expected[k]));
  }
}

}  // namespace
}  // namespace bobby
