// YAML as mlx_lm.lora reads it, and its defaults.

#include <cmath>
#include <cstdlib>
#include <fstream>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>
#include <string>
#include <yaml-cpp/yaml.h>

#include "training/config.h"
#include "training/yaml_scalar.h"

namespace bobby {
namespace {

using Json = nlohmann::json;

Json golden() {
  std::ifstream stream(std::string(BOBBY_SOURCE_DIR) + "/tests/parity/training/data/config.json");
  return Json::parse(stream);
}

std::string type_of(const YamlScalar& value) {
  constexpr const char* kNames[] = {"NoneType", "bool", "int", "float", "str"};
  return kNames[value.index()];
}

TEST(YamlScalar, ValuesAreThoseOfMlxLmsLoader) {
  const Json all = golden();
  ASSERT_FALSE(all.at("scalars").empty());
  for (const Json& each : all.at("scalars")) {
    SCOPED_TRACE(each.dump());
    const YAML::Node node = YAML::Load("key: " + each[0].get<std::string>());
    const YamlScalar value = yaml_scalar(node["key"]);
    ASSERT_EQ(type_of(value), each[1].get<std::string>());
    if (const auto* boolean = std::get_if<bool>(&value)) {
      EXPECT_EQ(*boolean, each[2].get<bool>());
    } else if (const auto* text = std::get_if<std::string>(&value)) {
      EXPECT_EQ(*text, each[2]);
    } else if (const auto* integer = std::get_if<std::int64_t>(&value)) {
      EXPECT_EQ(*integer, each[2].get<std::int64_t>());
    } else if (const auto* number = std::get_if<double>(&value)) {
      const std::string expected = each[2];
      if (expected == "nan")
        EXPECT_TRUE(std::isnan(*number));
      else
        EXPECT_EQ(*number, std::strtod(expected.c_str(), nullptr));
    }
  }
}

TEST(TrainingConfig, DefaultsAreMlxLms) {
  const auto config = parse_training_config("compat: mlx", "a.yaml");
  ASSERT_TRUE(config) << config.error().to_string();
  const Json ours = Json::parse(mlx_lm_arguments(*config));
  int compared = 0;
  const Json all = golden();
  ASSERT_FALSE(all.at("defaults").empty());
  for (const auto& [key, value] : all.at("defaults").items()) {
    ASSERT_TRUE(ours.contains(key)) << key;
    // No model and no data set of a hub by default; bobby train trains; options are written out.
    if (key == "model" || key == "data" || key == "train" || key == "optimizer_config") continue;
    EXPECT_EQ(ours[key], value) << key;
    ++compared;
  }
  EXPECT_GE(compared, 24);
  EXPECT_EQ(ours["optimizer_config"]["adam"],
            Json::parse(R"({"betas": [0.9, 0.999], "eps": 1e-8, "bias_correction": false})"));
}

}  // namespace
}  // namespace bobby
