// GGUF adapters as llama.cpp's converter writes them, and as nobody should.

#include "lora/gguf_adapter.h"

#include <gtest/gtest.h>
#include <limits>
#include <random>

#include "lora/delta_norm.h"
#include "tensor/half.h"
#include "unit/gguf/gguf_builder.h"
#include "unit/lora/edited_folder.h"

namespace bobby::testing {
namespace {

using test::GgufBuilder;

std::string floats(const std::vector<float>& values) {
  return {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(float)};
}

std::vector<float> counted(std::size_t count, float first = 0.0f) {
  std::vector<float> values(count);
  for (std::size_t i = 0; i < count; ++i) values[i] = first + static_cast<float>(i);
  return values;
}

GgufBuilder head(const std::string& architecture = "qwen3") {
  GgufBuilder builder;
  builder.key("general.architecture", architecture)
      .key("general.type", "adapter")
      .key("adapter.type", "lora");
  return builder;
}

GgufBuilder& add_pair(GgufBuilder& builder, const std::string& name) {
  return builder.tensor(name + ".weight.lora_a", {2, 3}, 0, floats(counted(6)))
      .tensor(name + ".weight.lora_b", {4, 2}, 0, floats(counted(8, 10.0f)));
}

Result<Adapter> read(const std::string& bytes) {
  return parse_gguf_adapter(std::as_bytes(std::span(bytes.data(), bytes.size())), "f.gguf");
}

TEST(GgufAdapter, ReadsPairsAndScale) {
  auto builder = head();
  builder.key("adapter.lora.alpha", 6.0f);
  const auto adapter = read(add_pair(builder, "blk.3.attn_q").bytes());
  ASSERT_TRUE(adapter) << sentence(adapter);
  EXPECT_EQ(adapter->source, Adapter::Source::kGguf);
  EXPECT_EQ(adapter->architecture, "qwen3");
  EXPECT_EQ(adapter->scale, 3.0f);
  EXPECT_FALSE(adapter->paired_rows);
  ASSERT_EQ(adapter->modules.size(), 1u);
  const AdapterModule& module = adapter->modules.front();
  EXPECT_EQ(module.path, "model.layers.3.self_attn.q_proj");
  EXPECT_EQ(module.rank, 2);
  EXPECT_EQ(module.in_features, 3);
  EXPECT_EQ(module.out_features, 4);
  EXPECT_EQ(module.a, counted(6));
  EXPECT_EQ(module.b, counted(8, 10.0f));
}

TEST(GgufAdapter, WithoutAlphaTheScaleIsOne) {
  auto without = head();
  EXPECT_EQ(read(add_pair(without, "output").bytes())->scale, 1.0f);
  auto zero = head();
  zero.key("adapter.lora.alpha", 0.0f);
  EXPECT_EQ(read(add_pair(zero, "output").bytes())->scale, 1.0f);
}

TEST(GgufAdapter, LlamaRowsWaitForTheHeadSize) {
  auto silent = head("llama");
  const auto waiting = read(add_pair(silent, "blk.0.attn_k").bytes());
  ASSERT_TRUE(waiting) << sentence(waiting);
  EXPECT_TRUE(waiting->paired_rows);
  const auto ordered = unpaired_b(*waiting, waiting->modules.front(), 4);
  const std::vector<float> expected = {10, 11, 14, 15, 12, 13, 16, 17};  // rows 0, 2, 1, 3
  EXPECT_EQ(*ordered, expected);
  EXPECT_TRUE(mentions(sentence(unpaired_b(*waiting, waiting->modules.front(), 3)), "whole heads"));
  auto told = head("llama");
  told.key("llama.attention.key_length", std::uint32_t{4});
  const auto adapter = read(add_pair(told, "blk.0.attn_k").bytes());
  ASSERT_TRUE(adapter) << sentence(adapter);
  EXPECT_FALSE(adapter->paired_rows);
  EXPECT_EQ(adapter->modules.front().b, expected);
  auto values = head("llama");
  EXPECT_FALSE(read(add_pair(values, "blk.0.attn_v").bytes())->paired_rows);
}

TEST(GgufAdapter, TheEmbeddingsAStandsTransposed) {
  auto builder = head();
  builder.tensor("token_embd.weight.lora_a", {5, 2}, 0, floats(counted(10)))
      .tensor("token_embd.weight.lora_b", {3, 2}, 0, floats(counted(6)));
  const auto adapter = read(builder.bytes());
  ASSERT_TRUE(adapter) << sentence(adapter);
  const AdapterModule& module = adapter->modules.front();
  EXPECT_EQ(module.path, "model.embed_tokens");
  EXPECT_EQ(module.in_features, 5);
  EXPECT_EQ(module.out_features, 3);
  EXPECT_EQ(module.a, (std::vector<float>{0, 2, 4, 6, 8, 1, 3, 5, 7, 9}));
}

TEST(GgufAdapter, HalvesAndBlocksWidenExactly) {
  std::string half, block;
  for (const float value : {1.0f, -2.0f, 0.5f, 8.0f})
    GgufBuilder::append(half, float_to_f16(value));
  GgufBuilder::append(block, float_to_f16(0.25f));
  for (int i = 0; i < 32; ++i) block.push_back(static_cast<char>(i - 16));
  auto builder = head();
  builder.tensor("output.weight.lora_a", {1, 32}, 8, block)
      .tensor("output.weight.lora_b", {4, 1}, 1, half);
  const auto adapter = read(builder.bytes());
  ASSERT_TRUE(adapter) << sentence(adapter);
  EXPECT_EQ(adapter->modules.front().b, (std::vector<float>{1.0f, -2.0f, 0.5f, 8.0f}));
  EXPECT_EQ(adapter->modules.front().a[0], -4.0f);
  EXPECT_EQ(adapter->modules.front().a[31], 3.75f);
}

TEST(GgufAdapter, RefusesWhatItIsNot) {
  struct Case {
    std::string what, bytes, says;
  };
  auto model = GgufBuilder().key("general.architecture", "llama").key("general.type", "model");
  auto no_type = GgufBuilder().key("general.architecture", "llama");
  auto other = GgufBuilder()
                   .key("general.architecture", "llama")
                   .key("general.type", "adapter")
                   .key("adapter.type", "control_vector");
  auto awake = head().key("adapter.alora.invocation_tokens", std::vector<std::int32_t>{1});
  auto lone = head().tensor("output.weight.lora_a", {2, 3}, 0, floats(counted(6)));
  auto unknown = head();
  auto norm = head().tensor("blk.0.attn_norm.weight", {3}, 0, floats(counted(3)));
  auto ranks = head()
                   .tensor("output.weight.lora_a", {3, 3}, 0, floats(counted(9)))
                   .tensor("output.weight.lora_b", {4, 2}, 0, floats(counted(8)));
  auto vectors = head()
                     .tensor("output.weight.lora_a", {3}, 0, floats(counted(3)))
                     .tensor("output.weight.lora_b", {3}, 0, floats(counted(3)));
  auto empty = head()
                   .tensor("output.weight.lora_a", {0, 3}, 0, "")
                   .tensor("output.weight.lora_b", {4, 0}, 0, "");
  auto types = head()
                   .tensor("output.weight.lora_a", {2, 3}, 14, "")
                   .tensor("output.weight.lora_b", {4, 2}, 0, floats(counted(8)));
  auto infinite = head().key("adapter.lora.alpha", std::numeric_limits<float>::infinity());
  auto nan = head()
                 .tensor("output.weight.lora_a", {2, 3}, 0, floats(counted(6)))
                 .tensor("output.weight.lora_b", {4, 2}, 0,
                         floats(std::vector<float>(8, std::numeric_limits<float>::quiet_NaN())));
  auto heads = head("llama").key("llama.attention.key_length", std::uint32_t{3});
  const Case cases[] = {
      {"a model", model.bytes(), "says that this is no adapter"},
      {"no type", no_type.bytes(), "expected adapter, found nothing"},
      {"another adapter", other.bytes(), "found control_vector"},
      {"a token that wakes it", awake.bytes(), "wake at a token"},
      {"half a pair", lone.bytes(), "has no partner"},
      {"unknown module", add_pair(unknown, "blk.0.ssm_in").bytes(), "is not part of an adapter"},
      {"a norm", norm.bytes(), "is not part of an adapter"},
      {"ranks", ranks.bytes(), "does not fit its lora_b"},
      {"vectors", vectors.bytes(), "does not fit its lora_b"},
      {"rank 0", empty.bytes(), "does not fit its lora_b"},
      {"Q6_K", types.bytes(), "found Q6_K"},
      {"alpha", infinite.bytes(), "not a finite number"},
      {"NaN", nan.bytes(), "holds NaN"},
      {"nothing", head().bytes(), "holds no adapted module"},
      {"heads", add_pair(heads, "blk.0.attn_q").bytes(), "whole heads"},
  };
  for (const Case& test : cases) {
    const auto adapter = read(test.bytes);
    ASSERT_FALSE(adapter) << test.what;
    EXPECT_TRUE(mentions(sentence(adapter), test.says)) << test.what << ": " << sentence(adapter);
    EXPECT_TRUE(mentions(sentence(adapter), "f.gguf")) << sentence(adapter);
  }
}

TEST(GgufAdapter, DamagedBytesNeverCrash) {
  auto builder = head("llama");
  builder.key("adapter.lora.alpha", 6.0f).key("llama.attention.key_length", std::uint32_t{4});
  const std::string good = add_pair(builder, "blk.0.attn_q").bytes();
  for (std::size_t length = 0; length < good.size(); ++length)
    EXPECT_FALSE(read(good.substr(0, length))) << length;
  std::mt19937 random(7);
  for (int round = 0; round < 3000; ++round) {
    std::string bytes = good;
    for (int change = 0; change < 3; ++change)
      bytes[random() % bytes.size()] = static_cast<char>(random());
    const auto adapter = read(bytes);
    EXPECT_TRUE(adapter || !sentence(adapter).empty());
  }
}

TEST(DeltaNorm, IsTheNormOfTheProduct) {
  AdapterModule module{.path = "x",
                       .rank = 2,
                       .in_features = 3,
                       .out_features = 4,
                       .a = counted(6, -2.0f),
                       .b = counted(8, -5.0f),
                       .magnitude = {},
                       .scale = -0.5f};
  double squares = 0.0;
  for (std::size_t row = 0; row < 4; ++row)
    for (std::size_t col = 0; col < 3; ++col) {
      const double sum = static_cast<double>(module.b[row * 2]) * module.a[col] +
                         static_cast<double>(module.b[row * 2 + 1]) * module.a[3 + col];
      squares += 0.25 * sum * sum;
    }
  EXPECT_NEAR(delta_norm(module), std::sqrt(squares), 1e-12);
  module.b.assign(8, 0.0f);
  EXPECT_EQ(delta_norm(module), 0.0);
}

}  // namespace
}  // namespace bobby::testing
