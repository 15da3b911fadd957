#include "hub/quantize_recipe.h"

#include <gtest/gtest.h>

#include "unit/hub/model_folder.h"

namespace bobby {
namespace {

using testing::TemporaryFolder;
using testing::write_text;

TEST(QuantizeRecipe, PathsAndPatterns) {
  EXPECT_TRUE(path_matches("lm_head", "lm_head"));
  EXPECT_FALSE(path_matches("lm_head", "lm_head2"));
  EXPECT_FALSE(path_matches("lm_head2", "lm_head"));
  EXPECT_TRUE(path_matches("*", ""));
  EXPECT_FALSE(path_matches("", "a"));
  EXPECT_TRUE(path_matches("*down_proj", "model.layers.3.mlp.down_proj"));
  EXPECT_TRUE(path_matches("model.layers.*.v_proj", "model.layers.12.self_attn.v_proj"));
  EXPECT_FALSE(path_matches("model.layers.*.v_proj", "model.layers.12.self_attn.v_proj.x"));
  EXPECT_TRUE(path_matches("a*a*a", "aaaa"));  // a first guess that must be taken back
  EXPECT_FALSE(path_matches("a*b*a", "aaab"));
  EXPECT_TRUE(path_matches("**a**", "bab"));
}

TEST(QuantizeRecipe, RulesOnALine) {
  const auto rule = parse_quantize_rule("*.down_proj=6:32", 64);
  ASSERT_TRUE(rule);
  EXPECT_EQ(rule->path, "*.down_proj");
  EXPECT_EQ(rule->quantization, (QuantizationConfig{32, 6}));
  EXPECT_EQ(parse_quantize_rule("lm_head=8", 64)->quantization, (QuantizationConfig{64, 8}));
  EXPECT_EQ(parse_quantize_rule("lm_head=dense", 64)->quantization, std::nullopt);
  for (const char* wrong : {"", "=4", "lm_head", "lm_head=", "lm_head=7", "lm_head=4:65",
                            "a=4:", "a=4:32x", "a=four", "a=-4", "a=4:32:1"}) {
    const auto got = parse_quantize_rule(wrong, 64);
    ASSERT_FALSE(got) << wrong;
    EXPECT_EQ(got.error().code, ErrorCode::kUsage);
  }
  EXPECT_EQ(parse_quantize_rule("lm_head=7", 64).error().to_string(),
            "'lm_head=7': there is no format of 7 bits: expected PATH=BITS, PATH=BITS:GROUP_SIZE "
            "or PATH=dense");
}

TEST(QuantizeRecipe, RulesInAFile) {
  const TemporaryFolder folder;
  const auto file = write_text(folder / "rules.json", R"({
    "group_size": 32, "bits": 3, "mode": "affine",
    "model.layers.0.mlp.down_proj": {"bits": 8, "group_size": 128},
    "*.down_proj": {"bits": 6}, "*": {"bits": 5}, "lm_head": false})");
  const auto made = read_quantize_rules(file, 64);
  ASSERT_TRUE(made) << made.error().to_string();
  EXPECT_EQ(made->bits, 3);
  EXPECT_EQ(made->group_size, 32);
  std::vector<std::string> order;
  for (const QuantizeRule& rule : made->rules) order.push_back(rule.path);
  EXPECT_EQ(order, (std::vector<std::string>{"*", "*.down_proj", "lm_head",
                                             "model.layers.0.mlp.down_proj"}));
  EXPECT_EQ(made->rules[1].quantization, (QuantizationConfig{32, 6}));
  EXPECT_EQ(made->rules[2].quantization, std::nullopt);
  EXPECT_EQ(made->rules[3].quantization, (QuantizationConfig{128, 8}));
}

TEST(QuantizeRecipe, WhatAFileGetsWrongIsNamedTogether) {
  const TemporaryFolder folder;
  const auto file = write_text(folder / "rules.json", R"({
    "bits": 7, "a": 4, "b": {"group_size": 64}, "c": {"bits": 4, "mode": "mxfp4"},
    "d": {"bits": "4"}, "e": true})");
  const auto made = read_quantize_rules(file, 64);
  ASSERT_FALSE(made);
  const std::string text = made.error().to_string();
  for (const char* part :
       {"rules.json: key 'bits': is not implemented", "key 'a'", "'b': key 'bits': is missing",
        "'c': key 'mode'", "'d': key 'bits'", "key 'e'"})
    EXPECT_NE(text.find(part), std::string::npos) << part << "\n" << text;
  EXPECT_EQ(read_quantize_rules(folder / "none.json", 64).error().code, ErrorCode::kNotFound);
}

TEST(QuantizeRecipe, UnknownRecipesAreNamed) {
  const auto got = recipe_bits("mixed_5_6", "lm_head", 4);
  ASSERT_FALSE(got);
  EXPECT_EQ(got.error().to_string(),
            "'mixed_5_6': is neither a recipe nor a file: expected mixed_2_6, mixed_3_4, "
            "mixed_3_6, mixed_4_6, or a file of rules");
}

}  // namespace
}  // namespace bobby
