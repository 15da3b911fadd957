#include "model/config.h"

#include <fstream>
#include <gtest/gtest.h>

#include "unit/lora/edited_folder.h"

namespace bobby::testing {
namespace {

nlohmann::json qwen3() {
  return nlohmann::json::parse(R"({
    "model_type": "qwen3", "hidden_size": 4096, "num_hidden_layers": 36, "intermediate_size": 12288,
    "num_attention_heads": 32, "num_key_value_heads": 8, "head_dim": 128, "vocab_size": 151936,
    "max_position_embeddings": 40960, "rms_norm_eps": 1e-6, "rope_theta": 1000000,
    "rope_scaling": null, "tie_word_embeddings": false, "hidden_act": "silu",
    "attention_bias": false, "sliding_window": null, "use_sliding_window": false,
    "max_window_layers": 36, "bos_token_id": 151643, "eos_token_id": 151645,
    "quantization": {"group_size": 64, "bits": 4}})");
}

nlohmann::json llama() {
  return nlohmann::json::parse(R"({
    "model_type": "llama", "hidden_size": 576, "num_hidden_layers": 30, "intermediate_size": 1536,
    "num_attention_heads": 9, "num_key_value_heads": 3, "vocab_size": 49152,
    "max_position_embeddings": 8192, "rms_norm_eps": 1e-5, "tie_word_embeddings": true})");
}

Result<ModelConfig> parse(const nlohmann::json& json) {
  return ModelConfig::from_json(json.dump(), "config.json");
}

TEST(ModelConfig, Qwen3AsPublished) {
  const auto config = parse(qwen3());
  ASSERT_TRUE(config) << sentence(config);
  EXPECT_EQ(config->head_dim, 128);
  EXPECT_EQ(config->rope_theta, 1e6f);
  EXPECT_EQ(config->eos_token_id, std::vector<std::int32_t>{151645});
  EXPECT_EQ(config->bos_token_id, 151643);
  EXPECT_EQ(config->quantization, (QuantizationConfig{64, 4}));
}

TEST(ModelConfig, LlamaDefaults) {
  const auto config = parse(llama());
  ASSERT_TRUE(config) << sentence(config);
  EXPECT_EQ(config->head_dim, 64);
  EXPECT_EQ(config->rope_theta, 10000.0f);
  EXPECT_FALSE(config->attention_bias);
  EXPECT_FALSE(config->quantization);
  auto no_groups = llama();
  no_groups.erase("num_key_value_heads");
  EXPECT_EQ(parse(no_groups)->num_key_value_heads, 9);
}

TEST(ModelConfig, RopeInEitherPlace) {
  auto json = qwen3();
  json.erase("rope_theta");
  EXPECT_TRUE(mentions(sentence(parse(json)), "key 'rope_theta': is missing"));
  json["rope_parameters"] = {{"rope_theta", 5000.0}, {"rope_type", "linear"}, {"factor", 2.0}};
  EXPECT_EQ(parse(json)->rope_theta, 5000.0f);
  EXPECT_EQ(parse(json)->rope_scaling.type, RopeScaling::Type::kLinear);
  json["rope_theta"] = 7000.0;  // the top level wins
  json["rope_scaling"] = {{"type", "default"}};
  EXPECT_EQ(parse(json)->rope_theta, 7000.0f);
  EXPECT_EQ(parse(json)->rope_scaling.type, RopeScaling::Type::kNone);
  json["rope_scaling"] = {{"rope_type", "llama3"},
                          {"factor", 8.0},
                          {"low_freq_factor", 1.0},
                          {"high_freq_factor", 4.0},
                          {"original_max_position_embeddings", 8192}};
  EXPECT_EQ(parse(json)->rope_scaling.original_max_position_embeddings, 8192);
}

TEST(ModelConfig, QuantizationByPath) {
  auto json = qwen3();
  json["quantization"]["lm_head"] = {{"group_size", 32}, {"bits", 6}, {"mode", "affine"}};
  json["quantization"]["model.layers.0.mlp.down_proj"] = false;
  json["quantization"]["model.layers.1.mlp.down_proj"] = true;
  json["quantization"]["model.layers.2.mlp.down_proj"] = {{"bits", 8}};
  const auto config = parse(json);
  ASSERT_TRUE(config) << sentence(config);
  const auto& by_path = config->quantization_by_path;
  ASSERT_EQ(by_path.size(), 4u);
  EXPECT_EQ(by_path.at("lm_head"), (QuantizationConfig{32, 6}));
  EXPECT_EQ(by_path.at("model.layers.0.mlp.down_proj"), std::nullopt);
  EXPECT_EQ(by_path.at("model.layers.1.mlp.down_proj"), (QuantizationConfig{64, 4}));
  EXPECT_EQ(by_path.at("model.layers.2.mlp.down_proj"), (QuantizationConfig{64, 8}));
}

TEST(ModelConfig, GenerationConfigNamesTheStops) {
  EditedFolder folder(std::filesystem::path(BOBBY_SOURCE_DIR) /
                      "tests/parity/models/llama-f16-linear/model");
  EXPECT_EQ(ModelConfig::load(folder.path())->eos_token_id, (std::vector<std::int32_t>{2, 3}));
  std::ofstream(folder.path() / "generation_config.json") << R"({"eos_token_id": [7, 8]})";
  EXPECT_EQ(ModelConfig::load(folder.path())->eos_token_id, (std::vector<std::int32_t>{7, 8}));
  std::ofstream(folder.path() / "generation_config.json") << "{";
  EXPECT_TRUE(mentions(sentence(ModelConfig::load(folder.path())), "generation_config.json"));
}

TEST(ModelConfig, AllProblemsAreReportedTogether) {
  auto json = qwen3();
  json["hidden_size"] = 0;
  json["num_hidden_layers"] = -3;
  json["intermediate_size"] = 1e30;
  json["vocab_size"] = 18446744073709551615u;
  json["head_dim"] = 7;
  json["rms_norm_eps"] = "small";
  json["hidden_act"] = "gelu";
  json["use_sliding_window"] = true;
  json.erase("tie_word_embeddings");
  const std::string text = sentence(parse(json));
  for (const char* part :
       {"'hidden_size': has an impossible value: expected an integer in [1, 4194304], found 0",
        "'num_hidden_layers'", "'intermediate_size'", "'vocab_size'", "'head_dim': is odd",
        "'rms_norm_eps'", "'hidden_act': changes the arithmetic and is not implemented",
        "'use_sliding_window'", "'tie_word_embeddings': is missing"})
    EXPECT_TRUE(mentions(text, part)) << part << " in\n" << text;
}

struct Lie {
  const char* name;
  const char* key;
  nlohmann::json value;
  const char* expected;
};

class ConfigLie : public ::testing::TestWithParam<Lie> {};

TEST_P(ConfigLie, IsRefusedByName) {
  auto json = qwen3();
  json[GetParam().key] = GetParam().value;
  const auto config = parse(json);
  ASSERT_FALSE(config);
  EXPECT_TRUE(mentions(sentence(config), GetParam().expected)) << sentence(config);
}

INSTANTIATE_TEST_SUITE_P(
    All, ConfigLie,
    ::testing::Values(
        Lie{"architecture", "model_type", "gpt_oss", "expected one of llama, qwen3"},
        Lie{"no_model_type", "model_type", 7, "key 'model_type'"},
        Lie{"kv_heads", "num_key_value_heads", 5, "does not divide num_attention_heads (32)"},
        Lie{"layers", "num_hidden_layers", 1000000000, "[1, 1024]"},
        Lie{"yarn",
            "rope_scaling",
            {{"rope_type", "yarn"}, {"factor", 4.0}},
            "names a rope scaling that is not implemented: expected default, linear or llama3"},
        Lie{"factor", "rope_scaling", {{"rope_type", "linear"}}, "'factor': is missing"},
        Lie{"zero_factor", "rope_scaling", {{"rope_type", "linear"}, {"factor", 0}}, "above 0"},
        Lie{"theta", "rope_theta", -1.0, "key 'rope_theta'"},
        Lie{"bias", "attention_bias", true, "is not implemented for qwen3"},
        Lie{"window", "layer_types", {"full_attention", "sliding_attention"}, "'layer_types'"},
        Lie{"experts", "num_experts", 128, "key 'num_experts'"},
        Lie{"softcap", "final_logit_softcapping", 30.0, "key 'final_logit_softcapping'"},
        Lie{"code", "model_file", "model.py", "key 'model_file'"},
        Lie{"eos", "eos_token_id", -1, "key 'eos_token_id'"},
        Lie{"mode",
            "quantization",
            {{"group_size", 32}, {"bits", 4}, {"mode", "mxfp4"}},
            "'mode': names a quantization that is not implemented"},
        Lie{"bits", "quantization", {{"group_size", 32}, {"bits", 7}}, "'bits'"},
        Lie{"group", "quantization", {{"group_size", 48}, {"bits", 4}}, "'group_size'"},
        Lie{"no_bits", "quantization", {{"group_size", 64}}, "'bits': is missing"},
        Lie{"entry",
            "quantization",
            {{"group_size", 64}, {"bits", 4}, {"lm_head", 4}},
            "'lm_head': has the wrong type"}),
    [](const auto& test) { return test.param.name; });

TEST(ModelConfig, ProductsAreBoundedToo) {
  auto json = qwen3();
  json["num_attention_heads"] = json["num_key_value_heads"] = json["head_dim"] = 16384;
  EXPECT_TRUE(mentions(sentence(parse(json)), "times num_attention_heads is too large"));
}

TEST(ModelConfig, ForeignQuantizationIsRefusedByName) {
  auto json = qwen3();
  json["quantization_config"] = {{"quant_method", "awq"}, {"bits", 4}};
  EXPECT_TRUE(parse(json)) << "MLX's own key is there";
  json.erase("quantization");
  EXPECT_TRUE(mentions(sentence(parse(json)), "found \"awq\""));
}

}  // namespace
}  // namespace bobby::testing
