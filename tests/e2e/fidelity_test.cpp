// model fuse and adapter fidelity on a small random model.

#include <cstring>
#include <gtest/gtest.h>

#include "tiny_model.h"

namespace bobby::e2e {
namespace {

class Fidelity : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_EQ(make_tiny_model(world_).exit_code, 0);
    write_file(folder_.path() / "posts/valid.jsonl",
               "{\"prompt\": \"write about rain\", \"completion\": \"It rains on the tin roof.\"}\n"
               "{\"prompt\": \"write about cats\", \"completion\": \"The cat signed for it.\"}\n");
  }

  Outcome run(std::vector<std::string> words) const {
    words.insert(words.end(), {"--model", "tiny"});
    return run_bobby(world_, words);
  }

  std::vector<float> logits(std::vector<std::string> words) const {
    words.insert(words.begin(), {"model", "logits", "--tokens", "5,6,7,8,9", "--out", "out.st"});
    const Outcome outcome = run_bobby(world_, words);
    EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
    const std::string bytes = read_file(folder_.path() / "out.st");
    std::uint64_t header = 0;
    std::memcpy(&header, bytes.data(), sizeof header);
    std::vector<float> values((bytes.size() - 8 - header) / 4);
    std::memcpy(values.data(), bytes.data() + 8 + header, values.size() * 4);
    return values;
  }

  TemporaryFolder folder_;
  World world_{folder_.path()};
};

TEST_F(Fidelity, AFusedFolderSaysWhatTheAdapterSays) {
  const Outcome fused =
      run({"model", "fuse", "--adapter", "tiny-adapter", "--out", "fused", "--dtype", "f32"});
  ASSERT_EQ(fused.exit_code, 0) << fused.err;
  EXPECT_NE(fused.out.find("model.layers.1.self_attn.q_proj"), std::string::npos);
  const auto beside =
      logits({"--model", "tiny", "--adapter", "tiny-adapter", "--device", "reference"});
  const auto within = logits({"--model", "fused", "--device", "reference"});
  const auto without = logits({"--model", "tiny", "--device", "reference"});
  ASSERT_EQ(beside.size(), within.size());
  float change = 0.0f;
  for (std::size_t i = 0; i < beside.size(); ++i) {
    EXPECT_NEAR(beside[i], within[i], 1e-3f);
    change = std::max(change, std::abs(beside[i] - without[i]));
  }
  EXPECT_GT(change, 1e-2f);
  EXPECT_EQ(run({"model", "fuse", "--adapter", "tiny-adapter", "--out", "fused"}).exit_code, 2);
}

TEST_F(Fidelity, FuseSaysWhatItNeeds) {
  EXPECT_NE(run({"model", "fuse", "--adapter", "tiny-adapter"}).err.find("--out"),
            std::string::npos);
  EXPECT_NE(run({"model", "fuse", "--out", "x"}).err.find("--adapter"), std::string::npos);
  const Outcome bits =
      run({"model", "fuse", "--adapter", "tiny-adapter", "--out", "x", "--bits", "8"});
  EXPECT_EQ(bits.exit_code, 2);
  EXPECT_NE(bits.err.find("--requantize"), std::string::npos);
}

TEST_F(Fidelity, TheReportIsTextJsonAndAPage) {
  const std::vector<std::string> words = {"adapter", "fidelity", "tiny-adapter", "--data", "posts"};
  auto with = words;
  with.insert(with.end(), {"--html", "page.html", "--json"});
  const Outcome outcome = run(with);
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  const auto json = nlohmann::json::parse(outcome.out);
  EXPECT_EQ(json.at("posts"), 2);
  EXPECT_GT(json.at("positions"), 20);
  EXPECT_EQ(json.at("ways").at(0).at("way"), "runtime");
  EXPECT_LT(json.at("ways").at(0).at("mean_kl"), 1e-4);
  EXPECT_NE(read_file(folder_.path() / "page.html").find("What becomes of the weights"),
            std::string::npos);
  const Outcome text = run(words);
  EXPECT_EQ(text.exit_code, 0) << text.err;
  EXPECT_NE(text.out.find("fp32 (the reference)"), std::string::npos);
  const Outcome alone = run({"adapter", "fidelity", "tiny-adapter"});
  EXPECT_EQ(alone.exit_code, 0) << alone.err;
  EXPECT_EQ(alone.out.find("perplexity"), std::string::npos);
}

TEST_F(Fidelity, PostsThatAreNotThereAreNamed) {
  const Outcome outcome = run({"adapter", "fidelity", "tiny-adapter", "--data", "nowhere.jsonl"});
  EXPECT_EQ(outcome.exit_code, 1);
  EXPECT_NE(outcome.err.find("nowhere.jsonl"), std::string::npos);
}

}  // namespace
}  // namespace bobby::e2e
