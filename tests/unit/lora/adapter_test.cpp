#include "lora/adapter.h"

#include <bit>
#include <cmath>
#include <gtest/gtest.h>
#include <limits>

#include "base/sha256.h"
#include "unit/lora/edited_folder.h"

namespace bobby::testing {
namespace {

namespace fs = std::filesystem;
const fs::path kModels = fs::path(BOBBY_SOURCE_DIR) / "tests/parity/models";
const fs::path kMlx = kModels / "qwen3-4bit-g32/adapters/mlx-last-qv-bf16";
const fs::path kMlxDora = kModels / "qwen3-4bit-g32/adapters/mlx-dora";
const fs::path kPeft = kModels / "qwen3-f32/adapters/peft-rslora-patterns";
const fs::path kPeftDora = kModels / "qwen3-f32/adapters/peft-dora";
const fs::path kPeftEmbed = kModels / "qwen3-4bit-g64-tied/adapters/peft-embed";
constexpr const char* kMlxFile = "adapters.safetensors";
constexpr const char* kPeftFile = "adapter_model.safetensors";

const AdapterModule& module_of(const Adapter& adapter, const std::string& path) {
  for (const AdapterModule& module : adapter.modules)
    if (module.path == path) return module;
  throw std::runtime_error("no module " + path);
}

std::string failure(const EditedFolder& folder) {
  return sentence(load_adapter(folder.path()));
}

TEST(Adapter, MlxFolderWithBf16TensorsTransposedAndWidened) {
  const auto adapter = load_adapter(kMlx);
  ASSERT_TRUE(adapter) << sentence(adapter);
  EXPECT_EQ(adapter->source, Adapter::Source::kMlx);
  EXPECT_EQ(adapter->num_layers, 1);
  EXPECT_EQ(adapter->scale, 2.0f);
  EXPECT_FALSE(adapter->dora);
  ASSERT_EQ(adapter->modules.size(), 2u);
  const AdapterModule& q_proj = module_of(*adapter, "model.layers.1.self_attn.q_proj");
  EXPECT_EQ(q_proj.rank, 5);
  EXPECT_EQ(q_proj.in_features, 96);
  EXPECT_EQ(q_proj.out_features, 192);
  EXPECT_EQ(adapter->parameter_count(), 5 * (96 + 192) + 5 * (96 + 64));
  EXPECT_EQ(adapter->sha256, *sha256_file(kMlx / kMlxFile));

  const auto file = safetensors::File::open(kMlx / kMlxFile);
  const auto lora_a = file->find("model.layers.1.self_attn.q_proj.lora_a")->as<std::uint16_t>();
  for (std::size_t in = 0; in < 96; ++in)
    for (std::size_t rank = 0; rank < 5; ++rank) {
      const std::uint32_t bits = static_cast<std::uint32_t>((*lora_a)[in * 5 + rank]) << 16;
      ASSERT_EQ(q_proj.a[rank * 96 + in], std::bit_cast<float>(bits));
    }
}

TEST(Adapter, MlxTargetsTheLastLayersAndTheKeys) {
  const Adapter adapter = *load_adapter(kMlx);
  EXPECT_TRUE(adapter.targets("model.layers.1.self_attn.q_proj", 2));
  EXPECT_FALSE(adapter.targets("model.layers.0.self_attn.q_proj", 2));
  EXPECT_FALSE(adapter.targets("model.layers.1.self_attn.q_proj", 3));
  EXPECT_FALSE(adapter.targets("model.layers.1.mlp.up_proj", 2));
  const Adapter all = *load_adapter(kMlxDora);  // num_layers 16 of 2, no keys
  EXPECT_TRUE(all.dora);
  EXPECT_TRUE(all.targets("model.layers.0.mlp.up_proj", 2));
  EXPECT_FALSE(all.targets("model.embed_tokens", 2));
  EXPECT_FALSE(all.targets("lm_head", 2));
}

TEST(Adapter, PeftScalesFollowPatternsAndRsLora) {
  const auto adapter = load_adapter(kPeft);
  ASSERT_TRUE(adapter) << sentence(adapter);
  EXPECT_EQ(adapter->source, Adapter::Source::kPeft);
  const auto scale_of = [&](const std::string& path) { return module_of(*adapter, path).scale; };
  const auto rsqrt = [](double alpha, double rank) {
    return static_cast<float>(alpha / std::sqrt(rank));
  };
  EXPECT_EQ(scale_of("model.layers.0.self_attn.k_proj"), rsqrt(16, 4));
  EXPECT_EQ(scale_of("model.layers.0.self_attn.q_proj"), rsqrt(16, 2));
  EXPECT_EQ(scale_of("model.layers.1.self_attn.v_proj"), rsqrt(3, 4));
  EXPECT_EQ(scale_of("model.layers.1.mlp.up_proj"), rsqrt(16, 9));
  EXPECT_EQ(scale_of("model.layers.0.mlp.up_proj"), rsqrt(16, 4));
  EXPECT_EQ(scale_of("model.layers.0.mlp.down_proj"), rsqrt(40, 4));
  EXPECT_EQ(module_of(*adapter, "model.layers.1.mlp.up_proj").rank, 9);
  EXPECT_TRUE(adapter->targets("model.layers.1.mlp.up_proj", 2));
  EXPECT_FALSE(adapter->targets("lm_head", 2));
  const Adapter dora = *load_adapter(kPeftDora);
  EXPECT_EQ(dora.scale, 2.0f);
  EXPECT_EQ(module_of(dora, "model.layers.1.mlp.down_proj").magnitude.size(), 48u);
  EXPECT_FALSE(dora.targets("model.layers.0.mlp.down_proj", 2));  // layers_to_transform [1]
  EXPECT_EQ(module_of(*load_adapter(kPeftEmbed), "model.embed_tokens").in_features, 99);
}

TEST(Adapter, PeftOtherSpellingsOfNames) {
  EditedFolder folder(kPeftDora);
  folder.tensors(kPeftFile, [](OwnTensors& tensors) {
    OwnTensors renamed;
    for (auto& [name, tensor] : tensors) {
      std::string other = name;
      if (const auto at = other.rfind(".weight"); at != std::string::npos)
        other.replace(at, 7, ".default.weight");
      else
        other += ".default";
      renamed[other] = tensor;
    }
    tensors = renamed;
  });
  const auto adapter = load_adapter(folder.path());
  ASSERT_TRUE(adapter) << sentence(adapter);
  EXPECT_EQ(adapter->modules.size(), 2u);
}

TEST(Adapter, EveryBadTensorIsNamedInOneError) {
  EditedFolder folder(kMlx);
  folder.tensors(kMlxFile, [](OwnTensors& tensors) {
    tensors.erase("model.layers.1.self_attn.q_proj.lora_b");
    tensors["model.layers.1.self_attn.v_proj.lora_a"] = constant({96, 6}, 0.0f);  // rank 5
    tensors["model.layers.1.self_attn.v_proj.m"] = constant({64}, 1.0f);
    tensors["optimizer.step"] = constant({1}, 0.0f);
    tensors["lora_a"] = constant({1, 5}, 0.0f);
  });
  const std::string text = failure(folder);
  for (const char* part : {"q_proj.lora_b': is missing", "v_proj.m': is not part of an adapter",
                           "optimizer.step': is not part", "'lora_a': is not part"})
    EXPECT_TRUE(mentions(text, part)) << part << " in\n" << text;
}

TEST(Adapter, RankAndShapesAreChecked) {
  EditedFolder folder(kMlx);
  folder.tensors(kMlxFile, [](OwnTensors& tensors) {
    tensors["model.layers.1.self_attn.q_proj.lora_a"] = constant({96, 6}, 0.0f);
    tensors["model.layers.1.self_attn.v_proj.lora_b"] = constant({64}, 0.0f);
  });
  const std::string text = failure(folder);
  EXPECT_TRUE(mentions(text, "expected [features, 5], found F32 [96, 6]")) << text;
  EXPECT_TRUE(mentions(text, "expected [5, features], found F32 [64]")) << text;
}

TEST(Adapter, NumbersThatAreNoneAreRefused) {
  for (const float bad :
       {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
    EditedFolder folder(kMlx);
    folder.tensors(kMlxFile, [&](OwnTensors& tensors) {
      tensors["model.layers.1.self_attn.q_proj.lora_a"] = constant({96, 5}, bad);
    });
    const auto adapter = load_adapter(folder.path());
    ASSERT_FALSE(adapter);
    EXPECT_EQ(adapter.error().code, ErrorCode::kNumeric);
    EXPECT_TRUE(mentions(failure(folder), "q_proj.lora_a': holds NaN or infinity"));
  }
}

TEST(Adapter, DoraNeedsItsMagnitudes) {
  EditedFolder folder(kMlxDora);
  folder.tensors(kMlxFile, [](OwnTensors& tensors) {
    tensors.erase("model.layers.0.mlp.up_proj.m");
    tensors["model.layers.1.mlp.up_proj.m"] = constant({161}, 1.0f);
  });
  const std::string text = failure(folder);
  EXPECT_TRUE(mentions(text, "layers.0.mlp.up_proj.m': is missing")) << text;
  EXPECT_TRUE(mentions(text, "layers.1.mlp.up_proj.m': has the wrong shape: expected [160]"))
      << text;
}

struct ConfigCase {
  const char* name;
  fs::path folder;
  std::function<void(nlohmann::json&)> edit;
  const char* expected;
};

class AdapterConfig : public ::testing::TestWithParam<ConfigCase> {};

TEST_P(AdapterConfig, IsRefusedByName) {
  EditedFolder folder(GetParam().folder);
  folder.json("adapter_config.json", GetParam().edit);
  const std::string text = failure(folder);
  EXPECT_TRUE(mentions(text, GetParam().expected)) << "got: " << text;
}

std::function<void(nlohmann::json&)> set(const char* key, nlohmann::json value) {
  return [key, value = std::move(value)](nlohmann::json& json) { json[key] = value; };
}

INSTANTIATE_TEST_SUITE_P(
    Bad, AdapterConfig,
    ::testing::Values(
        ConfigCase{"no_scale", kMlx,
                   [](auto& json) {
                     json["lora_parameters"].erase("scale");
                     json["lora_parameters"]["alpha"] = 16;
                   },
                   "key 'scale': is missing: expected a number; 'alpha' is another thing"},
        ConfigCase{"no_parameters", kMlx, [](auto& json) { json.erase("lora_parameters"); },
                   "key 'lora_parameters': is missing"},
        ConfigCase{"no_layers", kMlx, [](auto& json) { json.erase("num_layers"); },
                   "key 'num_layers': is missing"},
        ConfigCase{"rank", kMlx, [](auto& json) { json["lora_parameters"]["rank"] = 0; },
                   "key 'rank': has an impossible value"},
        ConfigCase{"empty_keys", kMlx,
                   [](auto& json) { json["lora_parameters"]["keys"] = nlohmann::json::array(); },
                   "key 'keys': names no module"},
        ConfigCase{"full", kMlx, set("fine_tune_type", "full"), "a full fine-tune is a model"},
        ConfigCase{"peft_type", kPeft, set("peft_type", "VERA"), "key 'peft_type'"},
        ConfigCase{"bias", kPeft, set("bias", "all"), "key 'bias'"},
        ConfigCase{"modules_to_save", kPeft, set("modules_to_save", {"lm_head"}),
                   "key 'modules_to_save'"},
        ConfigCase{"fan_in", kPeft, set("fan_in_fan_out", true), "key 'fan_in_fan_out'"},
        ConfigCase{"pissa", kPeft, set("init_lora_weights", "pissa"), "key 'init_lora_weights'"},
        ConfigCase{"regex", kPeft, set("target_modules", ".*_proj"), "is a regular expression"},
        ConfigCase{"pattern_regex", kPeft, set("rank_pattern", {{"^model", 4}}),
                   "is a regular expression"},
        ConfigCase{"pattern_rank", kPeft, set("rank_pattern", {{"q_proj", 0}}), "key 'q_proj'"},
        ConfigCase{"alpha_type", kPeft, set("lora_alpha", "16"), "key 'lora_alpha'"},
        ConfigCase{"no_targets", kPeft, [](auto& json) { json.erase("target_modules"); },
                   "key 'target_modules': is missing"},
        ConfigCase{"no_r", kPeft, [](auto& json) { json.erase("r"); }, "key 'r': is missing"}),
    [](const auto& test) { return test.param.name; });

TEST(Adapter, BrokenFoldersEndInOneSentence) {
  EXPECT_TRUE(mentions(sentence(load_adapter("/nonexistent/adapter")), "no such folder"));
  EXPECT_TRUE(mentions(sentence(load_adapter(kModels)), "adapter_config.json: there is no such"));
  for (const double share : {0.0, 0.001, 0.01, 0.5, 0.99}) {
    EditedFolder folder(kMlx);
    folder.truncate(kMlxFile, share);
    EXPECT_NE(failure(folder), "") << share;
  }
  EditedFolder folder(kMlx);
  fs::remove(folder.path() / kMlxFile);
  EXPECT_TRUE(mentions(failure(folder), kMlxFile));
  EditedFolder empty(kMlx);
  empty.tensors(kMlxFile, [](OwnTensors& tensors) { tensors.clear(); });
  EXPECT_TRUE(mentions(failure(empty), "holds no adapted module"));
}

}  // namespace
}  // namespace bobby::testing
