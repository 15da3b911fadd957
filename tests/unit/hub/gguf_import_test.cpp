#include "hub/gguf_import.h"

#include <fstream>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>
#include <sstream>
#include <unistd.h>

#include "safetensors/reader.h"
#include "tensor/half.h"
#include "tokenizer/tokenizer.h"
#include "unit/gguf/gguf_builder.h"

namespace bobby {
namespace {

namespace fs = std::filesystem;
using test::GgufBuilder;

// A folder of this test's own, gone afterwards.
class GgufImportTest : public testing::Test {
 protected:
  void SetUp() override {
    folder_ =
        fs::temp_directory_path() / ("bobby-gguf-" + std::to_string(::getpid()) + "-" +
                                     testing::UnitTest::GetInstance()->current_test_info()->name());
    fs::remove_all(folder_);
    fs::create_directories(folder_);
  }
  void TearDown() override { fs::remove_all(folder_); }

  fs::path write(const GgufBuilder& builder) {
    const fs::path path = folder_ / "model.gguf";
    std::ofstream(path, std::ios::binary) << builder.bytes();
    return path;
  }
  nlohmann::json json(const char* name) {
    std::ifstream stream(folder_ / "out" / name);
    return nlohmann::json::parse(stream);
  }

  fs::path folder_;
};

constexpr int kHidden = 64, kHeads = 4, kKvHeads = 2, kHeadDim = 16, kFfn = 96;

// Row r of a float32 matrix holds the number r everywhere, so that moved rows show.
std::string numbered_rows(int rows, int cols) {
  std::string data;
  for (int r = 0; r < rows; ++r)
    for (int c = 0; c < cols; ++c) GgufBuilder::append(data, static_cast<float>(r));
  return data;
}

// Q8_0: d = 1, all 32 values of a block equal to the low byte of the row number.
std::string numbered_blocks(int rows, int cols) {
  std::string data;
  for (int block = 0; block < rows * cols / 32; ++block) {
    GgufBuilder::append(data, float_to_f16(1.0f));
    data += std::string(32, static_cast<char>(block / (cols / 32)));
  }
  return data;
}

std::vector<std::string> byte_tokens() {
  std::vector<std::string> tokens = {"<|im_end|>"};
  for (char c = 'a'; c <= 'z'; ++c) tokens.emplace_back(1, c);
  tokens.emplace_back("\xc4\xa0");  // a space, in byte-level spelling
  tokens.emplace_back("th");
  return tokens;
}

GgufBuilder tiny_llama(std::string_view pre = "smollm") {
  const auto tokens = byte_tokens();
  std::vector<std::int32_t> types(tokens.size(), 1);
  types[0] = 3;
  const int vocab = static_cast<int>(tokens.size());
  GgufBuilder builder;
  builder.key("general.architecture", "llama")
      .key("llama.block_count", std::uint32_t{1})
      .key("llama.context_length", std::uint32_t{128})
      .key("llama.embedding_length", std::uint32_t{kHidden})
      .key("llama.feed_forward_length", std::uint32_t{kFfn})
      .key("llama.attention.head_count", std::uint32_t{kHeads})
      .key("llama.attention.head_count_kv", std::uint32_t{kKvHeads})
      .key("llama.rope.freq_base", 100000.0f)
      .key("llama.attention.layer_norm_rms_epsilon", 1e-5f)
      .key("tokenizer.ggml.model", "gpt2")
      .key("tokenizer.ggml.pre", pre)
      .key("tokenizer.ggml.tokens", tokens)
      .key("tokenizer.ggml.token_type", types)
      .key("tokenizer.ggml.merges", std::vector<std::string>{"t h"})
      .key("tokenizer.ggml.eos_token_id", std::uint32_t{0})
      .key("tokenizer.chat_template", "{{ messages }}")
      .tensor("token_embd.weight", {std::uint64_t(vocab), kHidden}, 8,
              numbered_blocks(vocab, kHidden))
      .tensor("output_norm.weight", {kHidden}, 0, numbered_rows(kHidden, 1))
      .tensor("blk.0.attn_norm.weight", {kHidden}, 0, numbered_rows(kHidden, 1))
      .tensor("blk.0.ffn_norm.weight", {kHidden}, 0, numbered_rows(kHidden, 1))
      .tensor("blk.0.attn_q.weight", {kHeads * kHeadDim, kHidden}, 0,
              numbered_rows(kHeads * kHeadDim, kHidden))
      .tensor("blk.0.attn_k.weight", {kKvHeads * kHeadDim, kHidden}, 8,
              numbered_blocks(kKvHeads * kHeadDim, kHidden))
      .tensor("blk.0.attn_v.weight", {kKvHeads * kHeadDim, kHidden}, 8,
              numbered_blocks(kKvHeads * kHeadDim, kHidden))
      .tensor("blk.0.attn_output.weight", {kHidden, kHeads * kHeadDim}, 3,
              std::string(kHidden * kHeads * kHeadDim / 32 * 20, '\3'))
      .tensor("blk.0.ffn_gate.weight", {kFfn, kHidden}, 3,
              std::string(kFfn * kHidden / 32 * 20, '\3'))
      .tensor("blk.0.ffn_up.weight", {kFfn, kHidden}, 3,
              std::string(kFfn * kHidden / 32 * 20, '\3'))
      .tensor("blk.0.ffn_down.weight", {kHidden, kFfn}, 3,
              std::string(kFfn * kHidden / 32 * 20, '\3'));
  return builder;
}

// The row of the GGUF that the checkpoint's row r of a head comes from: pairs to halves.
int source_row(int r) {
  const int head = r / kHeadDim, within = r % kHeadDim;
  const int half = within / (kHeadDim / 2), i = within % (kHeadDim / 2);
  return head * kHeadDim + 2 * i + half;
}

TEST_F(GgufImportTest, MakesAModelFolder) {
  const auto import = import_gguf(write(tiny_llama()), folder_ / "out");
  ASSERT_TRUE(import) << import.error().to_string();
  EXPECT_EQ(import->architecture, "llama");
  EXPECT_EQ(import->tensors, 11);

  const auto config = json("config.json");
  EXPECT_EQ(config["model_type"], "llama");
  EXPECT_EQ(config["head_dim"], kHeadDim);
  EXPECT_EQ(config["rms_norm_eps"], 1e-5);
  EXPECT_EQ(config["rope_theta"], 100000.0);
  EXPECT_EQ(config["tie_word_embeddings"], true);
  EXPECT_EQ(config["eos_token_id"], 0);
  EXPECT_EQ(config["quantization"]["bits"], 4);  // 4 modules of 4 bits, 3 of 8
  EXPECT_EQ(config["quantization"]["model.embed_tokens"]["bits"], 8);
  EXPECT_EQ(config["quantization"]["model.layers.0.self_attn.q_proj"], false);
  EXPECT_EQ(json("tokenizer_config.json")["chat_template"], "{{ messages }}");
  EXPECT_EQ(json("tokenizer_config.json")["eos_token"], "<|im_end|>");
}

TEST_F(GgufImportTest, RowsOfQAndKReturnToTheCheckpointsOrder) {
  ASSERT_TRUE(import_gguf(write(tiny_llama()), folder_ / "out"));
  const auto file = safetensors::File::open(folder_ / "out/model.safetensors");
  ASSERT_TRUE(file) << file.error().to_string();
  const auto* q = file->find("model.layers.0.self_attn.q_proj.weight");
  ASSERT_NE(q, nullptr);
  const auto q_rows = q->as<float>();
  ASSERT_TRUE(q_rows);
  for (int r = 0; r < kHeads * kHeadDim; ++r)
    EXPECT_EQ((*q_rows)[static_cast<std::size_t>(r * kHidden)], static_cast<float>(source_row(r)));

  // 8-bit levels are q + 128, so a k row shows its number in its first level; v rows stay put.
  for (const bool is_k : {true, false}) {
    const auto* t = file->find(is_k ? "model.layers.0.self_attn.k_proj.weight"
                                    : "model.layers.0.self_attn.v_proj.weight");
    ASSERT_NE(t, nullptr);
    for (int r = 0; r < kKvHeads * kHeadDim; ++r)
      EXPECT_EQ(std::to_integer<int>(t->data[static_cast<std::size_t>(r * kHidden)]) - 128,
                is_k ? source_row(r) : r);
  }
}

TEST_F(GgufImportTest, TheTokenizerLoadsAndMerges) {
  for (const char* pre : {"smollm", "gpt-2", "llama-bpe", "qwen2"}) {
    SCOPED_TRACE(pre);
    fs::remove_all(folder_ / "out");
    ASSERT_TRUE(import_gguf(write(tiny_llama(pre)), folder_ / "out"));
    const auto tokenizer = Tokenizer::from_file(folder_ / "out/tokenizer.json");
    ASSERT_TRUE(tokenizer) << tokenizer.error().to_string();
    // "th" is id 28, "e" 5, " " 27, "a" 1; the special token is found inside text.
    EXPECT_EQ(tokenizer->encode("the a<|im_end|>"), (std::vector<std::int32_t>{28, 5, 27, 1, 0}));
  }
}

TEST_F(GgufImportTest, NamesWhatItDoesNotImplement) {
  const auto refused = [&](const GgufBuilder& builder) {
    const auto import = import_gguf(write(builder), folder_ / "out");
    EXPECT_FALSE(import);
    EXPECT_FALSE(fs::exists(folder_ / "out"));
    return import ? std::string() : import.error().to_string();
  };
  EXPECT_NE(refused(tiny_llama("unheard-of")).find("'unheard-of'"), std::string::npos);
  // Two problems, both named.
  const std::string both =
      refused(tiny_llama()
                  .tensor("blk.0.ffn_gate_inp.weight", {1, 32}, 0, std::string(128, 0))
                  .tensor("output.weight", {1, 256}, 14, std::string(210, 0)));
  EXPECT_NE(both.find("ffn_gate_inp"), std::string::npos) << both;
  EXPECT_NE(both.find("Q6_K"), std::string::npos) << both;
  EXPECT_NE(refused(GgufBuilder().key("general.architecture", "mamba")).find("'mamba'"),
            std::string::npos);
}

TEST_F(GgufImportTest, NeverWritesOverAFolder) {
  fs::create_directories(folder_ / "out");
  const auto import = import_gguf(write(tiny_llama()), folder_ / "out");
  ASSERT_FALSE(import);
  EXPECT_NE(import.error().to_string().find("exists"), std::string::npos);
}

TEST_F(GgufImportTest, AFailureLeavesNothingBehind) {
  GgufBuilder builder = tiny_llama();
  std::string bytes = builder.bytes();
  std::ofstream(folder_ / "model.gguf", std::ios::binary) << bytes.substr(0, bytes.size() - 1000);
  ASSERT_FALSE(import_gguf(folder_ / "model.gguf", folder_ / "out"));
  int entries = 0;
  for (const auto& entry : fs::directory_iterator(folder_)) entries += entry.exists();
  EXPECT_EQ(entries, 1);  // the GGUF file itself
}

}  // namespace
}  // namespace bobby
