#include "hub/quantize_model.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <gtest/gtest.h>
#include <limits>

#include "hub/synth_model.h"
#include "safetensors/sharded.h"
#include "safetensors/writer.h"
#include "unit/hub/model_folder.h"

namespace bobby {
namespace {

using safetensors::Checkpoint;
using testing::read_text;
using testing::TemporaryFolder;
using testing::tiny_qwen3;
using testing::write_text;

/// A dense model with a tokenizer beside it.
void make_dense(const TemporaryFolder& folder, const nlohmann::json& config,
                std::uint64_t shard_bytes = 1u << 30) {
  const auto file = write_text(folder / "tiny.json", config.dump()).string();
  const auto made =
      synth_model({.arch = file, .folder = folder / "dense", .shard_bytes = shard_bytes});
  ASSERT_TRUE(made) << made.error().to_string();
  write_text(folder / "dense/tokenizer.json", "{}");
  write_text(folder / "dense/chat_template.jinja", "{{ x }}");
  write_text(folder / "dense/pytorch_model.bin", "not wanted");
}

/// A model folder of these fp32 tensors, with tiny_qwen3's config.
void make_folder(const std::filesystem::path& folder,
                 const std::vector<safetensors::TensorData>& tensors) {
  std::filesystem::create_directory(folder);
  write_text(folder / "config.json", tiny_qwen3().dump());
  ASSERT_TRUE(safetensors::write_file(folder / "model.safetensors", tensors));
}

WeightView view_of(const safetensors::Tensor& tensor) {
  return {.name = tensor.name,
          .format = {.dtype = DType::kBF16},
          .rows = static_cast<std::int64_t>(tensor.shape.at(0)),
          .cols = static_cast<std::int64_t>(tensor.shape.at(1)),
          .weight = tensor.data.data()};
}

TEST(QuantizeModel, EveryMatrixIsWhatQuantizeMakes) {
  const TemporaryFolder folder;
  make_dense(folder, tiny_qwen3());
  for (const Rounding rounding : {Rounding::kGpu, Rounding::kCpu}) {
    const auto out = folder / (rounding == Rounding::kGpu ? "gpu" : "cpu");
    const auto made = quantize_model(
        folder / "dense", out, {.bits = 3, .group_size = 32, .rounding = rounding, .threads = 2});
    ASSERT_TRUE(made) << made.error().to_string();
    EXPECT_EQ(made->quantized, 2 + 2 * 7);
    const auto before = Checkpoint::open(folder / "dense");
    const auto after = Checkpoint::open(out);
    ASSERT_TRUE(before && after) << after.error().to_string();
    EXPECT_EQ(made->bytes_before, before->byte_size());
    EXPECT_EQ(made->bytes_after, after->byte_size());
    EXPECT_EQ(after->tensors().size(), before->tensors().size() + 2 * (2 + 2 * 7));
    for (const safetensors::Tensor* tensor : before->tensors()) {
      SCOPED_TRACE(tensor->name);
      if (tensor->shape.size() != 2) {
        EXPECT_TRUE(std::ranges::equal(after->find(tensor->name)->data, tensor->data));
        continue;
      }
      const auto expected = quantize(view_of(*tensor), 3, 32, rounding);
      ASSERT_TRUE(expected);
      const std::string path = tensor->name.substr(0, tensor->name.size() - 7);
      EXPECT_TRUE(std::ranges::equal(after->find(path + ".weight")->data, expected->weight));
      EXPECT_TRUE(std::ranges::equal(after->find(path + ".scales")->data, expected->scales));
      EXPECT_TRUE(std::ranges::equal(after->find(path + ".biases")->data, expected->biases));
    }
  }
}

TEST(QuantizeModel, ConfigAndSmallFilesComeAlong) {
  const TemporaryFolder folder;
  make_dense(folder, tiny_qwen3());
  const auto made = quantize_model(folder / "dense", folder / "out", {});
  ASSERT_TRUE(made) << made.error().to_string();
  EXPECT_EQ(made->left_dense, (std::vector<std::string>{"model.layers.0.mlp.down_proj",
                                                        "model.layers.1.mlp.down_proj"}));
  auto config = nlohmann::json::parse(read_text(folder / "out" / "config.json"));
  const nlohmann::json expected = {{"group_size", 64},
                                   {"bits", 4},
                                   {"mode", "affine"},
                                   {"model.layers.0.mlp.down_proj", false},
                                   {"model.layers.1.mlp.down_proj", false}};
  EXPECT_EQ(config.at("quantization"), expected);
  EXPECT_EQ(config.at("quantization_config"), expected);
  config.erase("quantization");
  config.erase("quantization_config");
  EXPECT_EQ(config, tiny_qwen3());
  EXPECT_EQ(read_text(folder / "out/tokenizer.json"), "{}");
  EXPECT_EQ(read_text(folder / "out/chat_template.jinja"), "{{ x }}");
  EXPECT_FALSE(std::filesystem::exists(folder / "out/pytorch_model.bin"));
}

TEST(QuantizeModel, ThreadsAndShardsDoNotShow) {
  const TemporaryFolder folder;
  auto config = tiny_qwen3();
  config["vocab_size"] = 70'001;  // more than one chunk of rows
  make_dense(folder, config, 60'000);
  ASSERT_TRUE(std::filesystem::exists(folder / "dense/model.safetensors.index.json"));
  const auto weights = [&](const char* name, int threads) {
    const auto made =
        quantize_model(folder / "dense", folder / name, {.group_size = 32, .threads = threads});
    EXPECT_TRUE(made) << made.error().to_string();
    return read_text(folder / name / "model.safetensors");
  };
  const std::string one = weights("a", 1);
  EXPECT_FALSE(one.empty());
  EXPECT_EQ(one, weights("b", 3));
}

TEST(QuantizeModel, WhatMlxDropsIsDropped) {
  const TemporaryFolder folder;
  const std::vector<float> values(100 * 64, 0.5f);
  const auto bytes = std::as_bytes(std::span(values));
  std::filesystem::create_directory(folder / "dense");
  auto config = tiny_qwen3();
  config["tie_word_embeddings"] = true;
  write_text(folder / "dense/config.json", config.dump());
  const auto tensor = [&](const char* name) {
    return safetensors::TensorData{{name, safetensors::DType::kF32, {100, 64}}, bytes};
  };
  const std::vector<safetensors::TensorData> tensors = {
      tensor("lm_head.weight"), tensor("model.embed_tokens.weight"),
      tensor("model.layers.0.self_attn.rotary_emb.inv_freq")};
  ASSERT_TRUE(safetensors::write_file(folder / "dense/model.safetensors", tensors));
  ASSERT_TRUE(quantize_model(folder / "dense", folder / "out", {}));
  const auto made = Checkpoint::open(folder / "out");
  ASSERT_TRUE(made);
  EXPECT_EQ(made->tensors().size(), 3u);
  EXPECT_NE(made->find("model.embed_tokens.scales"), nullptr);
}

TEST(QuantizeModel, RulesDecideModuleByModule) {
  const TemporaryFolder folder;
  make_dense(folder, tiny_qwen3());
  const auto made = quantize_model(folder / "dense", folder / "out",
                                   {.bits = 4,
                                    .group_size = 64,
                                    .rules = {{"model.layers.*", QuantizationConfig{32, 3}},
                                              {"*.1.*.v_proj", QuantizationConfig{64, 4}},
                                              {"*.k_proj", std::nullopt},
                                              {"lm_head", QuantizationConfig{32, 8}}}});
  ASSERT_TRUE(made) << made.error().to_string();
  EXPECT_EQ(made->left_dense, (std::vector<std::string>{"model.layers.0.self_attn.k_proj",
                                                        "model.layers.1.self_attn.k_proj"}));
  const auto config = nlohmann::json::parse(read_text(folder / "out/config.json"));
  const nlohmann::json& block = config.at("quantization");
  const auto entry = [](int bits, int group_size) -> nlohmann::json {
    return {{"bits", bits}, {"group_size", group_size}, {"mode", "affine"}};
  };
  EXPECT_EQ(block.at("lm_head"), entry(8, 32));
  EXPECT_EQ(block.at("model.layers.0.self_attn.v_proj"), entry(3, 32));
  EXPECT_FALSE(block.contains("model.layers.1.self_attn.v_proj"));  // as the rest
  EXPECT_FALSE(block.contains("model.embed_tokens"));
  EXPECT_EQ(block.at("model.layers.1.self_attn.k_proj"), false);
  const auto after = Checkpoint::open(folder / "out");
  ASSERT_TRUE(after);
  EXPECT_EQ(after->find("lm_head.weight")->shape, (std::vector<std::uint64_t>{100, 16}));
  EXPECT_EQ(after->find("model.layers.0.mlp.down_proj.scales")->shape,
            (std::vector<std::uint64_t>{64, 3}));
  EXPECT_EQ(after->find("model.layers.0.self_attn.k_proj.scales"), nullptr);
  EXPECT_TRUE(ModelConfig::load(folder / "out"));

  const auto nothing = quantize_model(folder / "dense", folder / "other",
                                      {.rules = {{"model.layer.*", std::nullopt}}});
  ASSERT_FALSE(nothing);
  EXPECT_EQ(nothing.error().code, ErrorCode::kUsage);
  EXPECT_EQ(nothing.error().to_string(), "'model.layer.*': is the path of no matrix in this model");
}

/// A double sum over all numbers, in the plain order: the report's differs in rounding alone.
TEST(QuantizeModel, ErrorsAreThoseOfWhatWasWritten) {
  const TemporaryFolder folder;
  make_dense(folder, tiny_qwen3());
  const auto made =
      quantize_model(folder / "dense", folder / "out", {.bits = 3, .group_size = 32, .threads = 2});
  ASSERT_TRUE(made) << made.error().to_string();
  ASSERT_EQ(made->errors.size(), 16u);
  const auto before = Checkpoint::open(folder / "dense");
  const auto after = Checkpoint::open(folder / "out");
  ASSERT_TRUE(before && after);
  for (const TensorError& error : made->errors) {
    SCOPED_TRACE(error.path);
    const WeightView dense = view_of(*before->find(error.path + ".weight"));
    WeightView affine = dense;
    affine.format = affine_format(dense, 3, 32);
    affine.weight = after->find(error.path + ".weight")->data.data();
    affine.scales = after->find(error.path + ".scales")->data.data();
    affine.biases = after->find(error.path + ".biases")->data.data();
    double lost = 0;
    double all = 0;
    double largest = 0;
    std::vector<float> x(static_cast<std::size_t>(dense.cols));
    std::vector<float> back(x.size());
    for (std::int64_t row = 0; row < dense.rows; ++row) {
      dequantize_row(dense, row, x.data());
      dequantize_row(affine, row, back.data());
      for (std::size_t i = 0; i < x.size(); ++i) {
        const auto one = static_cast<double>(x[i] - back[i]);
        lost += one * one;
        all += static_cast<double>(x[i]) * static_cast<double>(x[i]);
        largest = std::max(largest, std::abs(one));
      }
    }
    EXPECT_NEAR(error.relative, std::sqrt(lost / all), 1e-12);  // 10,000 roundings of 2^-53
    EXPECT_EQ(error.largest, largest);
    EXPECT_GT(error.relative, 0.01);
  }
}

TEST(QuantizeModel, ErrorsNameWhatIsWrongAndLeaveNothing) {
  const TemporaryFolder folder;
  make_dense(folder, tiny_qwen3());
  const auto code = [&](const auto& result) {
    EXPECT_FALSE(result);
    return result ? ErrorCode::kInternal : result.error().code;
  };
  EXPECT_EQ(code(quantize_model(folder / "none", folder / "out", {})), ErrorCode::kNotFound);
  EXPECT_EQ(code(quantize_model(folder / "dense", folder / "dense", {})), ErrorCode::kUsage);
  EXPECT_EQ(code(quantize_model(folder / "dense", folder / "out", {.bits = 7})),
            ErrorCode::kUnsupported);
  ASSERT_TRUE(quantize_model(folder / "dense", folder / "quantized", {}));
  EXPECT_EQ(code(quantize_model(folder / "quantized", folder / "out", {})), ErrorCode::kUsage);

  const std::vector<std::int32_t> integers(64, 1);
  const auto integer = [&](const char* name) {
    return safetensors::TensorData{{name, safetensors::DType::kI32, {1, 64}},
                                   std::as_bytes(std::span(integers))};
  };
  make_folder(folder / "integers", {integer("a.weight"), integer("b.weight")});
  const auto both = quantize_model(folder / "integers", folder / "out", {});
  EXPECT_EQ(code(both), ErrorCode::kUnsupported);
  EXPECT_NE(both.error().to_string().find("'a.weight'"), std::string::npos);
  EXPECT_NE(both.error().to_string().find("'b.weight'"), std::string::npos);

  std::vector<float> values(50 * 64, 1.0f);
  values[40 * 64 + 3] = values[20 * 64] = std::numeric_limits<float>::quiet_NaN();
  make_folder(folder / "nan", {{{"a.weight", safetensors::DType::kF32, {50, 64}},
                                std::as_bytes(std::span(values))}});
  for (const int threads : {1, 4}) {
    const auto nan = quantize_model(folder / "nan", folder / "out", {.threads = threads});
    EXPECT_EQ(code(nan), ErrorCode::kNumeric);
    EXPECT_NE(nan.error().to_string().find("a: row 20, columns 0 to 63"), std::string::npos)
        << nan.error().to_string();
  }
  EXPECT_FALSE(std::filesystem::exists(folder / "out"));
  for (const auto& entry : std::filesystem::directory_iterator(folder.path()))
    EXPECT_EQ(entry.path().string().find("partial"), std::string::npos) << entry.path();
}

}  // namespace
}  // namespace bobby
