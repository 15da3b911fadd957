// Model folders that are whole, and every way in which they are not.

#include <fstream>
#include <gtest/gtest.h>

#include "backends/reference/reference.h"
#include "model/model.h"
#include "unit/lora/edited_folder.h"

namespace bobby::testing {
namespace {

namespace fs = std::filesystem;
const fs::path kModels = fs::path(BOBBY_SOURCE_DIR) / "tests/parity/models";
const fs::path kDense = kModels / "qwen3-f32/model";
const fs::path kTied = kModels / "qwen3-bf16-tied/model";
const fs::path kQuantized = kModels / "qwen3-4bit-g64-tied/model";
const fs::path kMixed = kModels / "qwen3-mixed/model";
const fs::path kLlama = kModels / "llama-bias-llama3/model";
constexpr const char* kFile = "model.safetensors";

class Load : public ::testing::Test {
 protected:
  std::string failure(const fs::path& folder) { return sentence(Model::load(folder, *backend_)); }
  std::unique_ptr<Backend> backend_ = make_reference_backend();
};

TEST_F(Load, BytesAreThoseOfTheTensors) {
  const auto dense = Model::load(kDense, *backend_);
  ASSERT_TRUE(dense) << sentence(dense);
  // The file's tensors, and the frequencies that are computed.
  const auto bytes_in = [](const fs::path& path) {
    return safetensors::Checkpoint::open(path)->byte_size();
  };
  EXPECT_EQ((*dense)->weight_bytes(), bytes_in(kDense) + 10 / 2 * 4);
  EXPECT_EQ((*dense)->decode_bytes(), (*dense)->weight_bytes() - 101 * 48 * 4);
  const auto tied = Model::load(kTied, *backend_);
  EXPECT_EQ((*tied)->decode_bytes(), (*tied)->weight_bytes());
}

TEST_F(Load, EveryBadTensorIsNamedInOneError) {
  EditedFolder folder(kDense);
  folder.tensors(kFile, [](OwnTensors& tensors) {
    tensors.erase("model.norm.weight");
    tensors.erase("model.layers.1.self_attn.k_norm.weight");
    tensors["model.layers.0.mlp.up_proj.weight"] = constant({48, 40}, 0.0f);
    tensors["model.layers.0.self_attn.q_proj.weight"].dtype = safetensors::DType::kI32;
    tensors["model.layers.2.mlp.up_proj.weight"] = constant({40, 48}, 0.0f);
    tensors["model.layers.0.self_attn.q_proj.bias"] = constant({30}, 0.0f);
    tensors["model.embed_tokens.weight"] = constant({101, 48, 1}, 0.0f);
  });
  const std::string text = failure(folder.path());
  for (const char* part :
       {"'model.norm.weight': is missing", "'model.layers.1.self_attn.k_norm.weight': is missing",
        "'model.layers.0.mlp.up_proj.weight': has the wrong shape: expected F32, F16 or BF16 [40, "
        "48], found F32 [48, 40]",
        "'model.layers.0.self_attn.q_proj.weight': has the wrong dtype",
        "'model.layers.2.mlp.up_proj.weight': is not part of this qwen3 model",
        "'model.layers.0.self_attn.q_proj.bias': is not part of this qwen3 model",
        "'model.embed_tokens.weight': has the wrong shape"})
    EXPECT_TRUE(mentions(text, part)) << part << " in\n" << text;
}

TEST_F(Load, QuantizedTripletsAreChecked) {
  EditedFolder folder(kQuantized);
  folder.tensors(kFile, [](OwnTensors& tensors) {
    tensors.erase("model.layers.0.mlp.up_proj.biases");
    tensors["model.layers.0.mlp.down_proj.scales"] = constant({128, 5}, 0.0f);  // of 192 columns
    tensors["model.layers.1.mlp.up_proj.biases"] = constant({192, 2}, 0.0f);    // scales are F16
    tensors["model.layers.1.self_attn.q_proj.scales"].dtype = safetensors::DType::kI16;
    tensors.erase("model.layers.1.self_attn.k_proj.scales");
  });
  const std::string text = failure(folder.path());
  for (const char* part :
       {"'model.layers.0.mlp.up_proj.biases': is missing",
        "'model.layers.0.mlp.down_proj.weight': and its scales fit no affine quantization",
        "'model.layers.1.mlp.up_proj.biases': has another dtype than the scales",
        "'model.layers.1.self_attn.q_proj.scales': is of no quantization that is implemented",
        // Without scales and without an entry the path is dense, and then its words are not floats.
        "'model.layers.1.self_attn.k_proj.weight': has the wrong shape",
        "'model.layers.1.self_attn.k_proj.biases': is not part of"})
    EXPECT_TRUE(mentions(text, part)) << part << " in\n" << text;
}

TEST_F(Load, ConfigAndFileMustAgreeOnQuantization) {
  EditedFolder folder(kMixed);
  folder.json("config.json", [](nlohmann::json& json) {
    json["quantization"]["model.layers.0.self_attn.q_proj"] = {{"group_size", 32}, {"bits", 4}};
    json["quantization"]["model.layers.0.self_attn.k_proj"] = false;
    json["quantization"]["model.layers.0.mlp.up_proj"] = true;  // dense in the file
  });
  const std::string text = failure(folder.path());
  for (const char* part :
       {"'model.layers.0.self_attn.q_proj.weight': has the wrong shape: expected "
        "U32 [192, 8], found U32 [192, 4]",
        "'model.layers.0.self_attn.k_proj.scales': is not part of",
        "'model.layers.0.mlp.up_proj.scales': is missing"})
    EXPECT_TRUE(mentions(text, part)) << part << " in\n" << text;
}

TEST_F(Load, FloatingPointModesTakeTheMemoryOfTheirExactFormats) {
  const auto model = Model::load(kModels / "qwen3-mxfp4/model", *backend_);
  ASSERT_TRUE(model) << sentence(model);
  // 6 bits a weight of a matrix, where the file has 4.25; norms and the rotation besides.
  const std::size_t in_layer = 64 * (96 + 32 + 32) + 96 * 64 + 3 * 96 * 64;
  const std::size_t matrices = 2 * 79 * 64 + 2 * in_layer;
  const std::size_t norms = 2 * (5 * 64 + 4 * 32);
  EXPECT_NEAR(static_cast<double>((*model)->weight_bytes()), matrices * 6.0 / 8.0, norms * 2.0);
}

TEST_F(Load, FloatingPointModesThatLieAreRefused) {
  EditedFolder entries(kModels / "qwen3-mxfp4/model");
  entries.json("config.json", [](nlohmann::json& json) {
    json["quantization"]["lm_head"] = {{"mode", "mxfp8"}};
    json["quantization"]["model.layers.0.mlp.up_proj"] = {{"mode", "affine"}, {"group_size", 32}};
    json["quantization"]["model.embed_tokens"] = {{"mode", "nvfp4"}};
  });
  const std::string text = failure(entries.path());
  for (const char* part :
       {"'lm_head.weight': has the wrong shape: expected U32 [79, 16], found U32 [79, 8]",
        "'model.layers.0.mlp.up_proj.biases': is missing",
        "'model.embed_tokens.scales': has the wrong shape: expected U8 [79, 4], found U8 [79, 2]"})
    EXPECT_TRUE(mentions(text, part)) << part << " in\n" << text;

  EditedFolder shapes(kModels / "qwen3-mxfp4/model");
  shapes.tensors(kFile, [](OwnTensors& tensors) {
    auto& scales = tensors["lm_head.scales"];
    scales.shape[1] = 1;
    scales.bytes.resize(scales.bytes.size() / 2);
    tensors["model.layers.0.mlp.up_proj.scales"].bytes.back() = std::byte{0xff};
  });
  const std::string damaged = failure(shapes.path());
  EXPECT_TRUE(mentions(damaged, "'lm_head.scales': is of no quantization that is implemented"))
      << damaged;
  EXPECT_TRUE(mentions(damaged, "up_proj: row 95, columns 32 to 63 hold no mxfp4 numbers"))
      << damaged;
}

TEST_F(Load, LeftoversAreTolerated) {
  EditedFolder folder(kTied);
  folder.tensors(kFile, [](OwnTensors& tensors) {
    tensors["model.layers.0.self_attn.rotary_emb.inv_freq"] = constant({8}, 1.0f);
    tensors["lm_head.weight"] = tensors["model.embed_tokens.weight"];
  });
  EXPECT_EQ(failure(folder.path()), "");
}

TEST_F(Load, AnUntiedHeadMustBeThere) {
  EditedFolder folder(kDense);
  folder.tensors(kFile, [](OwnTensors& tensors) { tensors.erase("lm_head.weight"); });
  EXPECT_TRUE(mentions(failure(folder.path()), "'lm_head.weight': is missing"));
}

TEST_F(Load, AnotherArchitectureUnderThisName) {
  EditedFolder folder(kLlama);
  folder.json("config.json", [](nlohmann::json& json) {
    json["model_type"] = "qwen3";
    json["head_dim"] = 24;
    json["attention_bias"] = json["mlp_bias"] = false;
  });
  const std::string text = failure(folder.path());
  EXPECT_TRUE(mentions(text, "'model.layers.0.self_attn.q_norm.weight': is missing"));
  EXPECT_TRUE(mentions(text, "'model.layers.0.self_attn.q_proj.bias': is not part of"));
}

TEST_F(Load, SizesThatLieEndInErrors) {
  for (const std::int64_t size : {1, 47, 1 << 22}) {
    EditedFolder folder(kDense);
    folder.json("config.json", [&](nlohmann::json& json) {
      json["hidden_size"] = size;
      json["num_hidden_layers"] = 1024;
      json["vocab_size"] = 1 << 24;
    });
    EXPECT_TRUE(mentions(failure(folder.path()), "'model.embed_tokens.weight'")) << size;
  }
}

TEST_F(Load, BrokenFoldersEndInOneSentence) {
  EXPECT_TRUE(mentions(failure("/nonexistent/model"), "config.json: there is no such file"));
  for (const double share : {0.0, 0.0001, 0.01, 0.5, 0.999}) {
    EditedFolder folder(kDense);
    folder.truncate(kFile, share);
    EXPECT_TRUE(mentions(failure(folder.path()), kFile)) << share;
  }
  EditedFolder no_weights(kDense);
  fs::remove(no_weights.path() / kFile);
  EXPECT_NE(failure(no_weights.path()), "");
  EditedFolder no_config(kDense);
  no_config.truncate("config.json", 0.5);
  EXPECT_TRUE(mentions(failure(no_config.path()), "config.json: is not valid JSON"));
}

}  // namespace
}  // namespace bobby::testing
