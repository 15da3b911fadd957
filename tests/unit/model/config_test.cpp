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

// Qwen2.5-7B-Instruct as published: its sliding window is off, and nothing speaks of biases.
nlohmann::json qwen2() {
  return nlohmann::json::parse(R"({
    "model_type": "qwen2", "hidden_size": 3584, "num_hidden_layers": 28, "intermediate_size": 18944,
    "num_attention_heads": 28, "num_key_value_heads": 4, "vocab_size": 152064,
    "max_position_embeddings": 32768, "max_window_layers": 28, "rms_norm_eps": 1e-6,
    "rope_theta": 1000000.0, "sliding_window": 131072, "use_sliding_window": false,
    "tie_word_embeddings": false, "hidden_act": "silu", "attention_dropout": 0.0,
    "bos_token_id": 151643, "eos_token_id": 151645})");
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

TEST(ModelConfig, Qwen2AsPublished) {
  const auto config = parse(qwen2());
  ASSERT_TRUE(config) << sentence(config);
  EXPECT_EQ(config->head_dim, 128);
  EXPECT_TRUE(config->attention_bias);
  EXPECT_FALSE(config->attention_output_bias);
  EXPECT_FALSE(config->mlp_bias);
  auto edited = qwen2();
  edited["attention_bias"] = false;  // read by nobody: the tensors are there
  EXPECT_TRUE(parse(edited)->attention_bias);
  edited["use_sliding_window"] = true;
  EXPECT_TRUE(mentions(sentence(parse(edited)), "key 'use_sliding_window'"));
  edited = qwen2();
  edited["mlp_bias"] = true;
  EXPECT_TRUE(mentions(sentence(parse(edited)), "'mlp_bias': is not implemented for qwen2"));
  edited = qwen2();
  edited["num_attention_heads"] = 24;
  EXPECT_TRUE(mentions(sentence(parse(edited)), "does not divide hidden_size"));
}

TEST(ModelConfig, LlamaBiasesComeTogether) {
  auto json = llama();
  json["attention_bias"] = true;
  EXPECT_TRUE(parse(json)->attention_bias);
  EXPECT_TRUE(parse(json)->attention_output_bias);
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

TEST(ModelConfig, QuantizationModes) {
  using enum QuantizationMode;
  auto json = qwen3();
  json["quantization"] = {{"group_size", 16}, {"bits", 4}, {"mode", "nvfp4"}};
  json["quantization"]["lm_head"] = {{"mode", "mxfp8"}};
  json["quantization"]["model.layers.0.mlp.down_proj"] = true;
  json["quantization"]["model.layers.1.mlp.down_proj"] = {{"bits", 8}};
  const auto config = parse(json);
  ASSERT_TRUE(config) << sentence(config);
  EXPECT_EQ(config->quantization, (QuantizationConfig{16, 4, kNvfp4}));
  const auto& by_path = config->quantization_by_path;
  EXPECT_EQ(by_path.at("lm_head"), (QuantizationConfig{32, 8, kMxfp8}));
  EXPECT_EQ(by_path.at("model.layers.0.mlp.down_proj"), (QuantizationConfig{16, 4, kNvfp4}));
  EXPECT_EQ(by_path.at("model.layers.1.mlp.down_proj"), (QuantizationConfig{64, 8, kAffine}));
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

TEST(ModelConfig, ModelOptsOwnFileIsRefused) {
  EditedFolder folder(std::filesystem::path(BOBBY_SOURCE_DIR) /
                      "tests/parity/models/llama-f16-linear/model");
  std::ofstream(folder.path() / "hf_quant_config.json") << R"({"producer": {}})";
  EXPECT_TRUE(mentions(sentence(ModelConfig::load(folder.path())), "hf_quant_config.json: says"));
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
        Lie{"moe", "model_type", "qwen3_moe", "key 'model_type': names an architecture"},
        Lie{"mistral", "model_type", "mistral", "found \"mistral\""},
        Lie{"local_experts", "num_local_experts", 8, "key 'num_local_experts'"},
        Lie{"activations", "quantize_activations", true, "key 'quantize_activations'"},
        Lie{"dynamic",
            "rope_scaling",
            {{"type", "dynamic"}, {"factor", 2.0}},
            "key 'type': names a rope scaling that is not implemented"},
        Lie{"longrope",
            "rope_parameters",
            {{"rope_type", "longrope"}},
            "rope_parameters: key 'rope_type'"},
        Lie{"partial", "partial_rotary_factor", 0.5, "key 'partial_rotary_factor'"},
        Lie{"architecture", "model_type", "gpt_oss", "expected one of llama, qwen2, qwen3"},
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
            {{"group_size", 32}, {"bits", 4}, {"mode", "fp6"}},
            "'mode': names a quantization that is not implemented: expected one of affine, mxfp4, "
            "mxfp8, nvfp4, found \"fp6\""},
        Lie{"mode_bits",
            "quantization",
            {{"group_size", 32}, {"bits", 8}, {"mode", "mxfp4"}},
            "'bits': does not go with mode mxfp4: expected 4, found 8"},
        Lie{"mode_group",
            "quantization",
            {{"group_size", 64}, {"bits", 4}, {"mode", "nvfp4"}},
            "'group_size': does not go with mode nvfp4: expected 16, found 64"},
        Lie{"path_mode",
            "quantization",
            {{"group_size", 64}, {"bits", 4}, {"lm_head", {{"mode", "int4"}}}},
            "'lm_head': key 'mode'"},
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
  for (const char* method :
       {"awq", "gptq", "fp8", "bitsandbytes", "compressed-tensors", "modelopt", "mxfp4"}) {
    json["quantization_config"]["quant_method"] = method;
    EXPECT_TRUE(mentions(sentence(parse(json)),
                         "quantization_config: key 'quant_method': is a scheme of quantization "
                         "that is not implemented"));
    EXPECT_TRUE(mentions(sentence(parse(json)), std::string("found \"") + method + "\""));
  }
}

}  // namespace
}  // namespace bobby::testing
