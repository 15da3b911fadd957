#include "gguf/gguf.h"

#include <cstring>
#include <filesystem>
#include <gtest/gtest.h>
#include <random>
#include <unistd.h>

#include "gguf/names.h"
#include "gguf/row_order.h"
#include "gguf/writer.h"
#include "unit/gguf/gguf_builder.h"

namespace bobby {
namespace {

using test::GgufBuilder;

std::span<const std::byte> as_span(const std::string& bytes) {
  return std::as_bytes(std::span(bytes.data(), bytes.size()));
}

std::string small_file() {
  return GgufBuilder()
      .key("general.architecture", "llama")
      .key("answer", std::uint32_t{42})
      .key("half", 0.5f)
      .key("words", std::vector<std::string>{"a", "b\xc4\xa0"})
      .key("ids", std::vector<std::int32_t>{1, -2, 3})
      .tensor("v", {3}, 0, std::string(12, '\1'))
      .tensor("m", {2, 32}, 3, std::string(40, '\2'))
      .bytes();
}

TEST(Gguf, ReadsKeysAndTensors) {
  const std::string bytes = small_file();
  const auto file = GgufFile::parse(as_span(bytes), "f.gguf");
  ASSERT_TRUE(file) << file.error().to_string();
  EXPECT_EQ(file->get<std::string>("general.architecture").value(), "llama");
  EXPECT_EQ(file->get<std::uint64_t>("answer").value(), 42u);
  EXPECT_EQ(file->get<double>("half").value(), 0.5);
  EXPECT_EQ(file->get<double>("answer").value(), 42.0);
  EXPECT_EQ(file->get<std::vector<std::string>>("words").value()[1], "b\xc4\xa0");
  EXPECT_EQ(file->get<std::vector<std::int64_t>>("ids").value(),
            (std::vector<std::int64_t>{1, -2, 3}));
  ASSERT_EQ(file->tensors().size(), 2u);
  EXPECT_EQ(file->tensors()[1].shape, (std::vector<std::int64_t>{2, 32}));
  EXPECT_EQ(file->tensors()[1].data.size(), 40u);
  EXPECT_EQ(file->tensors()[1].data[0], std::byte{2});
}

TEST(Gguf, NamesTheKeyThatIsMissingOrOfAnotherType) {
  const std::string bytes = small_file();
  const auto file = GgufFile::parse(as_span(bytes), "f.gguf");
  ASSERT_TRUE(file);
  EXPECT_NE(file->get<std::string>("nope").error().to_string().find("key 'nope' is missing"),
            std::string::npos);
  EXPECT_NE(file->get<std::uint64_t>("half").error().to_string().find("key 'half'"),
            std::string::npos);
  EXPECT_FALSE(file->find<std::string>("nope").value().has_value());
}

TEST(Gguf, EveryTruncationIsAnError) {
  const std::string bytes = small_file();
  for (std::size_t length = 0; length < bytes.size(); ++length) {
    const std::string cut = bytes.substr(0, length);
    const auto file = GgufFile::parse(as_span(cut), "cut.gguf");
    ASSERT_FALSE(file) << length << " of " << bytes.size() << " bytes";
    EXPECT_EQ(file.error().code, ErrorCode::kMalformed) << file.error().to_string();
  }
}

TEST(Gguf, DamagedBytesNeverCrash) {
  const std::string good = small_file();
  std::mt19937 random(7);
  int refused = 0;
  for (int round = 0; round < 20000; ++round) {
    std::string bytes = good;
    for (int i = 0; i < 3; ++i) bytes[random() % bytes.size()] = static_cast<char>(random());
    refused += !GgufFile::parse(as_span(bytes), "bad.gguf");
  }
  EXPECT_GT(refused, 0);
}

TEST(Gguf, RefusesLies) {
  struct Case {
    std::string_view what;
    std::string bytes;
    std::string_view says;
  };
  std::string version1 = small_file();
  version1[4] = 1;
  std::string many = small_file();
  for (int i = 8; i < 16; ++i) many[static_cast<std::size_t>(i)] = '\xff';
  const Case cases[] = {
      {"magic", "GGUX" + small_file().substr(4), "is not a GGUF file"},
      {"version", version1, "version is not read"},
      {"tensor count", many, "cannot fit in the file"},
      {"key twice", GgufBuilder().key("a", 1.0f).key("a", 2.0f).bytes(), "key 'a' stands twice"},
      {"tensor twice",
       GgufBuilder().tensor("t", {1}, 0, "abcd").tensor("t", {1}, 0, "abcd").bytes(),
       "tensor 't' stands twice"},
      {"shape overflow",
       GgufBuilder().tensor("t", {std::uint64_t{1} << 40, std::uint64_t{1} << 40}, 0, "").bytes(),
       "shape overflows"},
      {"beyond the end", GgufBuilder().tensor("t", {1 << 20}, 0, "abcd").bytes(),
       "outside the file"},
      {"ragged block", GgufBuilder().tensor("t", {1, 33}, 3, std::string(64, 'x')).bytes(),
       "no whole number of Q4_1 blocks"},
      {"no dimensions", GgufBuilder().tensor("t", {}, 0, "").bytes(), "number of dimensions"},
      {"alignment", GgufBuilder().key("general.alignment", std::uint32_t{3}).bytes(),
       "not a power of two"},
  };
  for (const Case& test : cases) {
    const auto file = GgufFile::parse(as_span(test.bytes), "f.gguf");
    ASSERT_FALSE(file) << test.what;
    EXPECT_NE(file.error().to_string().find(test.says), std::string::npos)
        << test.what << ": " << file.error().to_string();
  }
}

TEST(GgufNames, ThereAndBack) {
  EXPECT_EQ(checkpoint_path("blk.12.attn_output"), "model.layers.12.self_attn.o_proj");
  EXPECT_EQ(gguf_name("model.layers.0.mlp.down_proj"), "blk.0.ffn_down");
  EXPECT_EQ(gguf_name("lm_head"), "output");
  for (const char* name : {"token_embd", "output", "blk.7.attn_q", "blk.30.ffn_gate"})
    EXPECT_EQ(gguf_name(*checkpoint_path(name)), name);
  for (const char* name :
       {"", "blk.", "blk.x.attn_q", "blk.01.attn_q", "blk.1", "blk.1.attn_x", "x"})
    EXPECT_FALSE(checkpoint_path(name)) << name;
  EXPECT_FALSE(gguf_name("model.layers.1.self_attn.qkv_proj"));
  EXPECT_EQ(gguf_architecture("mistral"), "llama");
  EXPECT_FALSE(gguf_architecture("gpt2"));
}

TEST(GgufRows, PairsBecomeHalvesWithinAHead) {
  EXPECT_EQ(paired_row_source(8, 4), (std::vector<std::int64_t>{0, 2, 1, 3, 4, 6, 5, 7}));
  EXPECT_TRUE(has_paired_rows("llama", "model.layers.0.self_attn.k_proj"));
  EXPECT_FALSE(has_paired_rows("llama", "model.layers.0.self_attn.v_proj"));
  EXPECT_FALSE(has_paired_rows("qwen3", "model.layers.0.self_attn.q_proj"));
}

TEST(GgufWriter, WhatItWritesIsReadBack) {
  const auto path = std::filesystem::temp_directory_path() /
                    ("bobby-gguf-writer-" + std::to_string(getpid()) + ".gguf");
  const std::vector<float> odd(15, 1.5f), other = {1, 2, 3, 4};
  GgufWriter writer;
  writer.key("text", "h\u00e9");
  writer.key("number", std::uint32_t{7});
  writer.key("real", 0.1f);
  writer.tensor("odd", std::vector<std::int64_t>{5, 3}, odd);
  writer.tensor("other", std::vector<std::int64_t>{4}, other);
  const auto written = writer.write(path);
  ASSERT_TRUE(written) << written.error().to_string();
  EXPECT_NE(writer.write(path).error().to_string().find("exists already"), std::string::npos);
  const auto file = GgufFile::open(path);
  ASSERT_TRUE(file) << file.error().to_string();
  EXPECT_EQ(file->get<std::string>("text").value(), "h\u00e9");
  EXPECT_EQ(file->get<std::uint64_t>("number").value(), 7u);
  EXPECT_EQ(static_cast<float>(file->get<double>("real").value()), 0.1f);
  ASSERT_EQ(file->tensors().size(), 2u);
  EXPECT_EQ(file->tensors()[0].shape, (std::vector<std::int64_t>{5, 3}));
  EXPECT_EQ(std::memcmp(file->tensors()[0].data.data(), odd.data(), 60), 0);
  EXPECT_EQ(std::memcmp(file->tensors()[1].data.data(), other.data(), 16), 0);
  std::filesystem::remove(path);
  EXPECT_EQ(writer.write("/nonexistent/x.gguf").error().code, ErrorCode::kIo);
}

}  // namespace
}  // namespace bobby
