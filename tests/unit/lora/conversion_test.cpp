// mlx-lm, PEFT and GGUF, each into each, with the oracle's adapters.

#include "lora/conversion.h"

#include <cmath>
#include <gtest/gtest.h>
#include <map>

#include "gguf/gguf.h"
#include "lora/gguf_adapter.h"
#include "unit/lora/edited_folder.h"

namespace bobby::testing {
namespace {

namespace fs = std::filesystem;
using enum Adapter::Source;
const fs::path kModels = fs::path(BOBBY_SOURCE_DIR) / "tests/parity/models";

BaseFacts qwen3(std::int64_t heads = 4, std::int64_t kv_heads = 2, std::int64_t head_dim = 32) {
  return {.name = "",
          .model_type = "qwen3",
          .num_hidden_layers = 2,
          .num_attention_heads = heads,
          .num_key_value_heads = kv_heads,
          .head_dim = head_dim,
          .tie_word_embeddings = false};
}

/// Heads that fit the adapter's own q and k, so that a test needs no model.
BaseFacts facts_of(const Adapter& adapter, const std::string& model_type, std::int64_t head_dim) {
  BaseFacts base = qwen3(1, 1, head_dim);
  base.model_type = model_type;
  base.num_hidden_layers = 4;
  for (const AdapterModule& module : adapter.modules) {
    if (module.path.ends_with("q_proj")) base.num_attention_heads = module.out_features / head_dim;
    if (module.path.ends_with("k_proj")) base.num_key_value_heads = module.out_features / head_dim;
  }
  return base;
}

class Conversion : public ::testing::Test {
 protected:
  Conversion() {
    std::string name = fs::temp_directory_path() / "bobby-conversion-XXXXXX";
    if (!mkdtemp(name.data())) throw std::runtime_error("no temporary folder");
    folder_ = name;
  }
  ~Conversion() override { fs::remove_all(folder_); }

  static Adapter golden(const std::string& model, const std::string& adapter) {
    auto read = load_adapter(kModels / model / "adapters" / adapter);
    if (!read) throw std::runtime_error(sentence(read));
    return *std::move(read);
  }

  fs::path fresh() { return folder_ / std::to_string(next_++); }

  /// What comes back from `to`, and what writing it said.
  Adapter through(const Adapter& adapter, Adapter::Source to,
                  std::optional<BaseFacts> base = std::nullopt) {
    const fs::path path = fresh();
    auto written = write_adapter(
        adapter,
        {.dialect = to, .path = path, .base = std::move(base), .voice_json = std::nullopt});
    EXPECT_TRUE(written) << sentence(written);
    if (!written) throw std::runtime_error(sentence(written));
    inexact_ = written->inexact;
    auto read = load_adapter(path);
    EXPECT_TRUE(read) << sentence(read);
    if (!read) throw std::runtime_error(sentence(read));
    EXPECT_EQ(read->source, to);
    return *std::move(read);
  }

  std::string refusal(const Adapter& adapter, Adapter::Source to,
                      std::optional<BaseFacts> base = std::nullopt) {
    const fs::path path = fresh();
    const auto written = write_adapter(
        adapter,
        {.dialect = to, .path = path, .base = std::move(base), .voice_json = std::nullopt});
    EXPECT_FALSE(fs::exists(path));
    return sentence(written);
  }

  fs::path folder_;
  int next_ = 0;
  std::vector<std::string> inexact_;
};

void expect_same(const Adapter& found, const Adapter& expected, bool dtypes = true) {
  EXPECT_EQ(found.dora, expected.dora);
  EXPECT_EQ(found.scale, expected.scale);
  std::map<std::string, const AdapterModule*> by_path;
  for (const AdapterModule& module : found.modules) by_path[module.path] = &module;
  ASSERT_EQ(found.modules.size(), expected.modules.size());
  for (const AdapterModule& module : expected.modules) {
    ASSERT_TRUE(by_path.contains(module.path)) << module.path;
    const AdapterModule& other = *by_path[module.path];
    EXPECT_EQ(other.rank, module.rank) << module.path;
    EXPECT_EQ(other.scale, module.scale) << module.path;
    EXPECT_EQ(other.in_features, module.in_features) << module.path;
    EXPECT_TRUE(other.a == module.a && other.b == module.b && other.magnitude == module.magnitude)
        << module.path;
    EXPECT_TRUE(!dtypes || other.dtype == module.dtype) << module.path;
  }
}

/// scale * B A of one module, in double.
std::vector<double> delta(const AdapterModule& module) {
  std::vector<double> product(static_cast<std::size_t>(module.out_features * module.in_features));
  for (std::int64_t row = 0; row < module.out_features; ++row)
    for (std::int64_t r = 0; r < module.rank; ++r)
      for (std::int64_t col = 0; col < module.in_features; ++col)
        product[static_cast<std::size_t>(row * module.in_features + col)] +=
            static_cast<double>(module.scale) *
            module.b[static_cast<std::size_t>(row * module.rank + r)] *
            module.a[static_cast<std::size_t>(r * module.in_features + col)];
  return product;
}

TEST_F(Conversion, MlxToPeftAndBackIsTheSame) {
  for (const char* name : {"mlx-all", "mlx-dora", "mlx-last-qv-bf16"}) {
    SCOPED_TRACE(name);
    const Adapter adapter = golden("qwen3-4bit-g32", name);
    const Adapter peft = through(adapter, kPeft);
    EXPECT_TRUE(inexact_.empty());
    expect_same(peft, adapter);
    for (const AdapterModule& module : adapter.modules)
      EXPECT_TRUE(peft.targets(module.path, 2)) << module.path;
    EXPECT_FALSE(peft.targets("lm_head", 2));
    const Adapter back = through(peft, kMlx);
    EXPECT_TRUE(inexact_.empty());
    expect_same(back, adapter);
  }
}

TEST_F(Conversion, KeysAndLayersAreTheOnesAdapted) {
  const Adapter adapter = golden("qwen3-4bit-g32", "mlx-last-qv-bf16");
  const Adapter peft = through(adapter, kPeft);
  EXPECT_EQ(peft.target_modules, (std::vector<std::string>{"q_proj", "v_proj"}));
  EXPECT_EQ(peft.layers_to_transform, (std::vector<std::int64_t>{1}));
  EXPECT_FALSE(peft.targets("model.layers.0.self_attn.q_proj", 2));
  // Without the base nobody knows which blocks are the last ones.
  const Adapter blind = through(peft, kMlx);
  EXPECT_EQ(blind.keys.front(), "model.layers.1.self_attn.q_proj");
  EXPECT_TRUE(blind.targets("model.layers.1.self_attn.v_proj", 2));
  EXPECT_FALSE(blind.targets("model.layers.0.self_attn.q_proj", 2));
  BaseFacts base = facts_of(adapter, "qwen3", 32);
  base.num_hidden_layers = 2;
  const Adapter told = through(peft, kMlx, base);
  EXPECT_EQ(told.keys, (std::vector<std::string>{"self_attn.q_proj", "self_attn.v_proj"}));
  EXPECT_EQ(told.num_layers, 1);
}

TEST_F(Conversion, PatternsAreFoldedAndSaid) {
  const Adapter adapter = golden("qwen3-f32", "peft-rslora-patterns");
  // Another PEFT folder holds every rank and scale exactly.
  expect_same(through(adapter, kPeft), adapter);
  EXPECT_TRUE(inexact_.empty());
  for (const auto to : {kMlx, kGguf}) {
    SCOPED_TRACE(source_name(to));
    const Adapter folded = through(adapter, to, facts_of(adapter, "qwen3", 10));
    ASSERT_EQ(inexact_.size(), 1u);
    EXPECT_TRUE(mentions(inexact_.front(), "modules have a scale of their own")) << inexact_[0];
    for (std::size_t i = 0; i < adapter.modules.size(); ++i) {
      const auto expected = delta(adapter.modules[i]);
      const auto found = delta(folded.modules[i]);
      for (std::size_t k = 0; k < expected.size(); ++k)
        // Each number of b rounded once, a scale that is a float away: a sum of at most 9 terms.
        ASSERT_NEAR(found[k], expected[k], 1e-5 * std::abs(expected[k]) + 1e-7);
    }
  }
}

TEST_F(Conversion, RanksThatDifferAreFilledUpWithZeros) {
  Adapter adapter = golden("qwen3-f32", "peft-rslora-patterns");
  for (AdapterModule& module : adapter.modules) module.scale = 2.0f;
  const Adapter padded = through(adapter, kMlx);
  EXPECT_TRUE(inexact_.empty());
  for (std::size_t i = 0; i < adapter.modules.size(); ++i) {
    EXPECT_EQ(padded.modules[i].rank, 9);
    EXPECT_EQ(delta(padded.modules[i]), delta(adapter.modules[i]));
  }
}

TEST_F(Conversion, GgufAndBackIsTheSame) {
  const Adapter adapter = golden("qwen3-4bit-g32", "mlx-all");
  for (const char* architecture : {"qwen3", "llama"}) {
    SCOPED_TRACE(architecture);
    const BaseFacts base = facts_of(adapter, architecture, 32);
    const Adapter gguf = through(adapter, kGguf, base);
    EXPECT_TRUE(inexact_.empty());
    EXPECT_EQ(gguf.architecture, architecture);
    EXPECT_FALSE(gguf.paired_rows);
    EXPECT_TRUE(gguf.may_adapt(architecture));
    EXPECT_FALSE(gguf.may_adapt("qwen2"));
    expect_same(gguf, adapter);
    EXPECT_TRUE(gguf.targets("model.layers.1.mlp.up_proj", 2));
    EXPECT_FALSE(gguf.targets("lm_head", 2));
    expect_same(through(gguf, kPeft), adapter);
    expect_same(through(gguf, kMlx, base), adapter);
  }
  // bf16 widens: the numbers are the same, in another type.
  const Adapter half = golden("qwen3-4bit-g32", "mlx-last-qv-bf16");
  expect_same(through(half, kGguf, facts_of(half, "qwen3", 32)), half, false);
}

TEST_F(Conversion, LlamaKeepsTheRowsOfQAndKInPairs) {
  const Adapter adapter = golden("qwen3-4bit-g32", "mlx-all");
  const fs::path path = fresh();
  const BaseFacts base = facts_of(adapter, "llama", 32);
  ASSERT_TRUE(write_adapter(
      adapter, {.dialect = kGguf, .path = path, .base = base, .voice_json = std::nullopt}));
  const auto file = GgufFile::open(path);
  ASSERT_TRUE(file);
  const AdapterModule* q = nullptr;
  for (const AdapterModule& module : adapter.modules)
    if (module.path == "model.layers.0.self_attn.q_proj") q = &module;
  ASSERT_NE(q, nullptr);
  for (const GgufTensor& tensor : file->tensors()) {
    if (tensor.name != "blk.0.attn_q.weight.lora_b") continue;
    std::vector<float> rows(q->b.size());
    ASSERT_EQ(tensor.data.size(), rows.size() * 4);
    std::memcpy(rows.data(), tensor.data.data(), tensor.data.size());
    // Row 1 of the file is the first of the second half of head 0.
    for (std::size_t r = 0; r < 4; ++r) {
      EXPECT_EQ(rows[0 + r], q->b[0 + r]);
      EXPECT_EQ(rows[4 + r], q->b[16 * 4 + r]);
      EXPECT_EQ(rows[8 + r], q->b[4 + r]);
    }
  }
}

TEST_F(Conversion, AFileOfAnotherProgramNeedsTheSizeOfAHead) {
  const Adapter adapter = golden("qwen3-4bit-g32", "mlx-all");
  const BaseFacts base = facts_of(adapter, "llama", 32);
  const fs::path path = fresh();
  ASSERT_TRUE(write_adapter(
      adapter, {.dialect = kGguf, .path = path, .base = base, .voice_json = std::nullopt}));
  std::ifstream in(path, std::ios::binary);
  std::string bytes{std::istreambuf_iterator<char>(in), {}};
  bytes[bytes.find("llama.attention.key_length")] = 'x';  // as llama.cpp's converter: without
  const auto silent = parse_gguf_adapter(std::as_bytes(std::span(bytes)), "silent.gguf");
  ASSERT_TRUE(silent) << sentence(silent);
  EXPECT_TRUE(silent->paired_rows);
  EXPECT_TRUE(mentions(refusal(*silent, kMlx), "how long one is"));
  expect_same(through(*silent, kMlx, base), adapter);
  expect_same(*in_checkpoint_order(*silent, "llama", 32), adapter);
  EXPECT_TRUE(
      mentions(sentence(in_checkpoint_order(*silent, "qwen3", 32)), "another architecture"));
  EXPECT_TRUE(mentions(sentence(in_checkpoint_order(*silent, "llama", 30)), "whole heads"));
}

TEST_F(Conversion, AScaleBetweenTwoFloatsOfAlphaIsSaid) {
  Adapter adapter = golden("qwen3-4bit-g32", "mlx-last-qv-bf16");  // rank 5
  const BaseFacts base = facts_of(adapter, "qwen3", 32);
  int exact = 0, said = 0;
  for (int i = 0; i < 200; ++i) {
    const float scale = 1.6f + 0.001f * static_cast<float>(i);
    for (AdapterModule& module : adapter.modules) module.scale = scale;
    adapter.scale = scale;
    const Adapter gguf = through(adapter, kGguf, base);
    EXPECT_EQ(inexact_.empty(), gguf.scale == scale);
    EXPECT_NEAR(gguf.scale, scale, 2e-7 * scale);
    for (const std::string& text : inexact_)
      EXPECT_TRUE(mentions(text, "the float next to")) << text;
    (inexact_.empty() ? exact : said) += 1;
    EXPECT_EQ(through(adapter, kPeft).scale, scale);
  }
  EXPECT_GT(exact, 0);
  EXPECT_GT(said, 0);
}

TEST_F(Conversion, TiedEmbeddingsMeanTwoThings) {
  const Adapter mlx = golden("qwen3-4bit-g64-tied", "mlx-embed");
  const Adapter peft = golden("qwen3-4bit-g64-tied", "peft-embed");
  EXPECT_TRUE(mentions(refusal(mlx, kPeft), "--model"));
  EXPECT_TRUE(mentions(refusal(peft, kMlx), "--model"));
  BaseFacts tied = facts_of(mlx, "qwen3", 32);
  tied.tie_word_embeddings = true;
  EXPECT_TRUE(mentions(refusal(peft, kMlx, tied), "one without the other"));
  EXPECT_TRUE(mentions(refusal(mlx, kGguf, tied), "llama.cpp cannot adapt either"));
  const Adapter both = through(mlx, kPeft, tied);
  EXPECT_EQ(both.modules.size(), mlx.modules.size() + 1);
  EXPECT_TRUE(both.targets("lm_head", 2));
  EXPECT_TRUE(both.targets("model.embed_tokens", 2));
  expect_same(through(both, kMlx, tied), mlx);
  // Without a tie it is one thing in all three.
  const Adapter untied = through(mlx, kPeft, facts_of(mlx, "qwen3", 32));
  expect_same(untied, mlx);
  const Adapter gguf = through(mlx, kGguf, facts_of(mlx, "qwen3", 32));
  expect_same(gguf, mlx, false);
}

TEST_F(Conversion, WhatADialectCannotHoldIsRefused) {
  const Adapter dora = golden("qwen3-4bit-g32", "mlx-dora");
  EXPECT_TRUE(mentions(refusal(dora, kGguf, facts_of(dora, "qwen3", 32)), "DoRA"));
  Adapter adapter = golden("qwen3-4bit-g32", "mlx-all");
  EXPECT_TRUE(mentions(refusal(adapter, kGguf), "--model"));
  BaseFacts other = facts_of(adapter, "gemma", 32);
  EXPECT_TRUE(mentions(refusal(adapter, kGguf, other), "'gemma': has no GGUF names"));
  other = facts_of(adapter, "qwen3", 32);
  other.num_attention_heads = 5;
  EXPECT_TRUE(mentions(refusal(adapter, kPeft, other), "other heads"));
  other = facts_of(adapter, "qwen3", 32);
  other.num_hidden_layers = 1;
  EXPECT_TRUE(mentions(refusal(adapter, kPeft, other), "not so many blocks"));
  for (AdapterModule& module : adapter.modules) module.scale = 0.0f;
  EXPECT_TRUE(mentions(refusal(adapter, kGguf, facts_of(adapter, "qwen3", 32)), "scale 0"));
  adapter.modules.front().path = "model.layers.0.self_attn.qkv_proj";
  EXPECT_TRUE(mentions(refusal(adapter, kGguf, facts_of(adapter, "qwen3", 32)), "no name in GGUF"));
}

TEST_F(Conversion, TheVoiceTravels) {
  const Adapter adapter = golden("qwen3-4bit-g32", "mlx-all");
  const std::string voice = "{\"post\": {\"char_limit\": 200}}";
  const fs::path folder = fresh(), file = fresh();
  ASSERT_TRUE(write_adapter(
      adapter, {.dialect = kPeft, .path = folder, .base = std::nullopt, .voice_json = voice}));
  std::ifstream stream(folder / "voice.json");
  EXPECT_EQ(std::string(std::istreambuf_iterator<char>(stream), {}), voice);
  ASSERT_TRUE(write_adapter(adapter, {.dialect = kGguf,
                                      .path = file,
                                      .base = facts_of(adapter, "qwen3", 32),
                                      .voice_json = voice}));
  EXPECT_EQ(gguf_adapter_voice(file).value(), voice);
  // Nothing is written over.
  EXPECT_TRUE(mentions(
      sentence(write_adapter(
          adapter,
          {.dialect = kPeft, .path = folder, .base = std::nullopt, .voice_json = std::nullopt})),
      "exists"));
}

}  // namespace
}  // namespace bobby::testing
