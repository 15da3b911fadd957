// Every command that needs a model, on a small random one that the binary makes itself.

#include "tiny_model.h"

#include <cstring>
#include <gtest/gtest.h>
#include <memory>
#include <sstream>

namespace bobby::e2e {
namespace {

// A second, and what a busy machine adds to it; a sanitizer looks for leaks before the end.
#ifdef __SANITIZE_ADDRESS__
constexpr int kEndsWithinMs = 10000;
#else
constexpr int kEndsWithinMs = 1500;
#endif

bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

std::vector<nlohmann::json> json_lines(const std::string& text) {
  std::vector<nlohmann::json> objects;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) objects.push_back(nlohmann::json::parse(line));
  return objects;
}

class TinyModel : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    folder_ = std::make_unique<TemporaryFolder>();
    world_ = World{folder_->path()};
    made_ = make_tiny_model(world_);
  }
  static void TearDownTestSuite() { folder_.reset(); }

  void SetUp() override { ASSERT_EQ(made_.exit_code, 0) << made_.err; }

  static Outcome run(std::vector<std::string> words, const std::string& input = {}) {
    words.insert(words.end(), {"--model", "tiny"});
    return run_bobby(world_, words, input);
  }

  // The float data of a file with the one tensor `logits`.
  static std::vector<float> logits(const std::string& name) {
    const std::string bytes = read_file(world_.folder / name);
    std::uint64_t header = 0;
    std::memcpy(&header, bytes.data(), sizeof header);
    std::vector<float> values((bytes.size() - 8 - header) / 4);
    std::memcpy(values.data(), bytes.data() + 8 + header, values.size() * 4);
    return values;
  }

  static std::unique_ptr<TemporaryFolder> folder_;
  static World world_;
  static Outcome made_;
};

std::unique_ptr<TemporaryFolder> TinyModel::folder_;
World TinyModel::world_;
Outcome TinyModel::made_;

TEST_F(TinyModel, PostsAreRepeatableByTheirSeed) {
  const std::vector<std::string> words = {"post",  "3",      "hello",        "--seed", "7",
                                          "--raw", "--json", "--max-tokens", "20"};
  const Outcome first = run(words);
  ASSERT_EQ(first.exit_code, 0) << first.err;
  const auto posts = json_lines(first.out);
  ASSERT_EQ(posts.size(), 3u);
  for (const auto& post : posts)
    for (const char* key : {"text", "graphemes", "tokens", "seed", "finish_reason", "tries",
                            "mean_logprob", "prefill_ms", "decode_tok_s"})
      EXPECT_TRUE(post.contains(key)) << key;
  EXPECT_EQ(posts[0]["seed"], 7);
  EXPECT_LE(posts[0]["tokens"].get<int>(), 20);
  const auto texts = [](const std::string& out) {
    std::vector<std::string> result;
    for (const auto& post : json_lines(out)) result.push_back(post["text"]);
    return result;
  };
  auto threads = words;
  threads.insert(threads.end(), {"--threads", "1"});
  EXPECT_EQ(texts(run(words).out), texts(first.out));
  EXPECT_EQ(texts(run(threads).out), texts(first.out));
  auto alone = words;
  alone[1] = "1";
  EXPECT_EQ(texts(run(alone).out).at(0), texts(first.out).at(0));
  auto other = words;
  other[4] = "8";
  EXPECT_NE(texts(run(other).out), texts(first.out));
}

TEST_F(TinyModel, ASeedIsDrawnAndShown) {
  const Outcome outcome = run({"post", "--raw", "--max-tokens", "5", "hello"});
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_TRUE(has(outcome.err, "seed ")) << outcome.err;
}

TEST_F(TinyModel, VerboseShowsSpeedBesideItsLimit) {
  const Outcome outcome = run({"post", "-v", "--raw", "--max-tokens", "5", "hello"});
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  for (const char* part : {"load: ", "prefill: ", "decode: ", "% of the", "memory: "})
    EXPECT_TRUE(has(outcome.err, part)) << part << " in " << outcome.err;
}

TEST_F(TinyModel, NothingAcceptableEndsWithThree) {
  const Outcome outcome =
      run({"post", "hello", "--max-tokens", "4", "--min-chars", "250", "--retries", "1", "-v"});
  EXPECT_EQ(outcome.exit_code, 3) << outcome.err;
  EXPECT_EQ(outcome.out, "");
  EXPECT_TRUE(has(outcome.err, "nothing acceptable")) << outcome.err;
  EXPECT_TRUE(has(outcome.err, "was rejected")) << outcome.err;
}

TEST_F(TinyModel, ATraceIsWritten) {
  const Outcome outcome =
      run({"post", "--raw", "--max-tokens", "5", "hello", "--trace", "trace.json"});
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  const auto trace = nlohmann::json::parse(read_file(world_.folder / "trace.json"));
  EXPECT_TRUE(trace.contains("steps"));
}

TEST_F(TinyModel, LogitsAgreeBetweenBackendsAndMoveWithTheAdapter) {
  const std::vector<std::string> words = {"model", "logits", "--tokens", "1,2,3,200,258", "--out"};
  const auto write = [&](const std::string& name, std::vector<std::string> more) {
    auto all = words;
    all.push_back(name);
    all.insert(all.end(), more.begin(), more.end());
    const Outcome outcome = run(all);
    EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
    return logits(name);
  };
  const auto relative_distance = [](const std::vector<float>& a, const std::vector<float>& b) {
    double difference = 0.0, size = 0.0;
    for (std::size_t i = 0; i < a.size(); ++i) {
      difference += (a[i] - b[i]) * (a[i] - b[i]);
      size += a[i] * a[i];
    }
    return std::sqrt(difference / size);
  };
  const auto reference = write("reference.safetensors", {"--device", "reference"});
  ASSERT_EQ(reference.size(), 5u * 259u);
  const auto cpu = write("cpu.safetensors", {});
  // The project's own bound for a whole model against the oracle.
  EXPECT_LE(relative_distance(reference, cpu), 1e-3);
  const auto adapted = write("adapted.safetensors", {"--adapter", "tiny-adapter"});
  EXPECT_GT(relative_distance(cpu, adapted), 1e-2);
  const auto own = write("own.safetensors", {"--adapter", "tiny-adapter:20"});
  EXPECT_EQ(own, adapted);  // 20 is the folder's own scale
  const auto none = write("none.safetensors", {"--adapter", "tiny-adapter:0"});
  EXPECT_EQ(none, cpu);
  // Two halves are the whole, but for one more rounding each (the plain backend, since the cpu's
  // 15-bit activations would turn that into steps of their own).
  const auto whole =
      write("whole.safetensors", {"--device", "reference", "--adapter", "tiny-adapter"});
  const auto halves = write(
      "halves.safetensors",
      {"--device", "reference", "--adapter", "tiny-adapter:10", "--adapter", "tiny-adapter:10"});
  EXPECT_LE(relative_distance(whole, halves), 1e-5);
}

TEST_F(TinyModel, AnAdapterInAnyDialectSaysTheSame) {
  std::filesystem::copy(world_.folder / "tiny-adapter", world_.folder / "voiced");
  write_file(world_.folder / "voiced/voice.json", R"({"prompt_form": "raw"})");
  const auto write = [&](const std::string& adapter) {
    const Outcome outcome = run({"model", "logits", "--tokens", "1,2,3,200,258", "--out",
                                 "travelled.safetensors", "--adapter", adapter});
    EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
    return logits("travelled.safetensors");
  };
  const auto expected = write("voiced");
  const auto convert = [&](const std::vector<std::string>& words) {
    const Outcome outcome = run(words);
    ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
    EXPECT_TRUE(has(outcome.err, "exactly the same")) << outcome.err;
    EXPECT_TRUE(has(outcome.err, "with its voice")) << outcome.err;
  };
  convert({"adapter", "export", "voiced", "--to", "peft", "--out", "voiced-peft"});
  convert({"adapter", "export", "voiced", "--to", "gguf", "--out", "voiced.gguf"});
  convert({"adapter", "import", "voiced.gguf", "--from", "gguf", "--out", "voiced-back"});
  convert({"adapter", "import", "voiced-peft", "--out", "voiced-too"});
  for (const char* other : {"voiced-peft", "voiced.gguf", "voiced-back", "voiced-too"})
    EXPECT_EQ(write(other), expected) << other;

  const Outcome inspected = run({"adapter", "inspect", "voiced.gguf", "--json"});
  ASSERT_EQ(inspected.exit_code, 0) << inspected.err;
  const auto object = nlohmann::json::parse(inspected.out);
  EXPECT_EQ(object["source"], "gguf");
  EXPECT_EQ(object["architecture"], "qwen3");
  EXPECT_EQ(object["prompt_form"], "raw");
  EXPECT_GT(object["delta_norm"], 0.0);
  EXPECT_EQ(
      object["modules"].size(),
      nlohmann::json::parse(run({"adapter", "inspect", "voiced", "--json"}).out)["modules"].size());

  const Outcome twice =
      run({"adapter", "export", "voiced", "--to", "gguf", "--out", "voiced.gguf"});
  EXPECT_EQ(twice.exit_code, 2);
  EXPECT_TRUE(has(twice.err, "exists already")) << twice.err;
  const Outcome wrong =
      run({"adapter", "import", "voiced-peft", "--from", "gguf", "--out", "none"});
  EXPECT_TRUE(has(wrong.err, "is not what --from says")) << wrong.err;
  const Outcome nowhere = run({"adapter", "export", "voiced", "--out", "none"});
  EXPECT_TRUE(has(nowhere.err, "--to")) << nowhere.err;
  write_file(world_.folder / "noise.gguf", "GGUF and nothing more");
  EXPECT_EQ(run({"post", "hello", "--adapter", "noise.gguf"}).exit_code, 1);
}

TEST_F(TinyModel, TokenizeGoesThereAndBack) {
  const std::string texts = "hello\n\n  spaces \xc3\xa9\xf0\x9f\x99\x82\n<|im_end|>x\n";
  const Outcome ids = run({"tokenize"}, texts);
  ASSERT_EQ(ids.exit_code, 0) << ids.err;
  EXPECT_EQ(json_lines(ids.out).size(), 4u);
  EXPECT_EQ(json_lines(ids.out).at(1), nlohmann::json::array());
  EXPECT_EQ(json_lines(ids.out).at(3).at(0), 258);
  EXPECT_EQ(run({"tokenize", "--decode"}, ids.out).out, texts);

  const std::string nul("two\nlines\0one\0", 14);
  const Outcome both = run({"tokenize", "-0"}, nul);
  EXPECT_EQ(json_lines(both.out).size(), 2u);
  EXPECT_EQ(run({"tokenize", "--decode", "-0"}, both.out).out, nul);
  EXPECT_EQ(run({"tokenize"}, "").out, "");
}

TEST_F(TinyModel, BenchMeasuresEachBatchBesideTheBandwidth) {
  const std::vector<std::string> words = {"bench",        "--json",      "--prompt-tokens", "8",
                                          "--gen-tokens", "16",          "--batch",         "1,3",
                                          "--adapter",    "tiny-adapter"};
  const Outcome outcome = run(words);
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  const auto objects = json_lines(outcome.out);
  ASSERT_EQ(objects.size(), 3u);
  EXPECT_GT(objects[0]["read_bandwidth_gb_s"].get<double>(), 0.0);
  EXPECT_GT(objects[0]["peak_rss_bytes"].get<double>(), 0.0);
  EXPECT_EQ(objects[1]["batch"], 1);
  EXPECT_EQ(objects[2]["batch"], 3);
  EXPECT_TRUE(objects[2].contains("lora_cost"));
  EXPECT_EQ(json_lines(run(words).out)[1]["logits_sha256"], objects[1]["logits_sha256"]);
}

TEST_F(TinyModel, BenchMixesAdaptersAmongTheRows) {
  std::vector<std::string> words = {
      "bench", "--json", "--prompt-tokens", "40", "--batch",       "5", "--gen-tokens",
      "2",     "-a",     "tiny-adapter",    "-a", "tiny-adapter:5"};
  const auto row_of = [&](std::vector<std::string> more) {
    more.insert(more.begin(), words.begin(), words.end());
    const Outcome outcome = run(more);
    EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
    return json_lines(outcome.out).at(1);
  };
  const auto summed = row_of({});
  const auto mixed = row_of({"--adapters-by-row", "3"});
  EXPECT_EQ(mixed["prompts"], 5);
  EXPECT_TRUE(mixed.contains("lora_cost"));
  EXPECT_NE(mixed["logits_sha256"], summed["logits_sha256"]);
  EXPECT_NE(row_of({"--adapters-by-row", "2"})["logits_sha256"], mixed["logits_sha256"]);
  EXPECT_EQ(row_of({"--adapters-by-row", "3", "--shared-prompt"})["prompts"], 3);
  EXPECT_EQ(row_of({"--shared-prompt"})["prompts"], 1);

  words.insert(words.end(), {"--adapters-by-row", "1"});
  EXPECT_EQ(run(words).exit_code, 2);  // one of the two would be left out
  EXPECT_EQ(run({"bench", "--adapters-by-row", "2"}).exit_code, 2);
}

TEST_F(TinyModel, InspectAndVerifyNameWhatIsThere) {
  const Outcome inspect = run_bobby(world_, {"model", "inspect", "tiny", "--json"});
  ASSERT_EQ(inspect.exit_code, 0) << inspect.err;
  const auto object = nlohmann::json::parse(inspect.out);
  EXPECT_EQ(object["config"]["head_dim"], 32);
  EXPECT_TRUE(has(inspect.out, "4-bit, groups of 32"));
  EXPECT_EQ(run_bobby(world_, {"model", "inspect", "tiny"}).exit_code, 0);
  const Outcome verify = run_bobby(world_, {"model", "verify", "tiny", "--deep"});
  EXPECT_EQ(verify.exit_code, 0) << verify.err;
  EXPECT_EQ(run_bobby(world_, {"model", "verify", "tiny/model.safetensors"}).exit_code, 0);
  EXPECT_EQ(run_bobby(world_, {"model", "verify", "tiny-adapter"}).exit_code, 0);
  const Outcome adapter = run_bobby(world_, {"adapter", "inspect", "tiny-adapter", "--json"});
  ASSERT_EQ(adapter.exit_code, 0) << adapter.err;
  EXPECT_EQ(nlohmann::json::parse(adapter.out)["scale"], 20.0);
  EXPECT_EQ(run_bobby(world_, {"adapter", "inspect", "tiny-adapter"}).exit_code, 0);
}

TEST_F(TinyModel, QuantizeMakesAModelThatRuns) {
  nlohmann::json config = tiny_config();
  config.erase("quantization");
  write_file(world_.folder / "dense.json", config.dump());
  ASSERT_EQ(
      run_bobby(world_, {"model", "synth", "--arch", "dense.json", "--out", "dense"}).exit_code, 0);
  const Outcome made = run_bobby(
      world_, {"model", "quantize", "dense", "quantised", "--bits", "8", "--group-size", "32"});
  ASSERT_EQ(made.exit_code, 0) << made.err;
  EXPECT_EQ(run_bobby(world_, {"model", "verify", "quantised", "--deep"}).exit_code, 0);
  const Outcome again = run_bobby(world_, {"model", "quantize", "dense", "quantised"});
  EXPECT_EQ(again.exit_code, 2) << again.err;

  const Outcome mixed =
      run_bobby(world_, {"model", "quantize", "dense", "mixed", "--group-size", "32", "--recipe",
                         "mixed_3_6", "--override", "*.q_proj=8", "--json"});
  ASSERT_EQ(mixed.exit_code, 0) << mixed.err;
  const auto report = nlohmann::json::parse(mixed.out);
  EXPECT_EQ(report.at("errors").size(), report.at("quantized").get<std::size_t>());
  for (const auto& error : report.at("errors")) {
    const std::string path = error.at("path");
    const int wanted = path.ends_with(".q_proj") ? 8 : path.ends_with(".k_proj") ? 3 : 0;
    EXPECT_TRUE(wanted == 0 || error.at("bits") == wanted) << error;
    EXPECT_GT(error.at("relative_error"), 0.0);
    EXPECT_LT(error.at("relative_error"), 0.3);
  }
  EXPECT_EQ(run_bobby(world_, {"model", "verify", "mixed", "--deep"}).exit_code, 0);
  EXPECT_EQ(run_bobby(world_, {"model", "quantize", "dense", "x", "--recipe", "best"}).exit_code,
            1);
}

TEST_F(TinyModel, CtrlCEndsWithinASecond) {
  // 2 s of patience: under sanitizers on a busy machine even the start takes a while.
  const Outcome waiting =
      interrupt_bobby(world_, {"tokenize", "--model", "tiny"}, std::chrono::milliseconds(2000));
  EXPECT_EQ(waiting.exit_code, 130);
  EXPECT_LT(waiting.after_signal.count(), kEndsWithinMs);
  const Outcome busy = interrupt_bobby(world_,
                                       {"bench", "-v", "--model", "tiny", "--prompt-tokens", "4",
                                        "--gen-tokens", "500", "--batch", "1024,1024,1024,1024"},
                                       std::chrono::milliseconds(60000));
  EXPECT_EQ(busy.exit_code, 130) << busy.err;
  EXPECT_LT(busy.after_signal.count(), kEndsWithinMs);
}

TEST_F(TinyModel, CtrlCLeavesNoHalfWrittenFolder) {
  const Outcome outcome =
      interrupt_bobby(world_, {"model", "synth", "--arch", "qwen3-8b", "--out", "big"}, kHasBegun);
  EXPECT_EQ(outcome.exit_code, 130) << outcome.err;
  EXPECT_LT(outcome.after_signal.count(), kEndsWithinMs);
  for (const auto& entry : std::filesystem::directory_iterator(world_.folder))
    EXPECT_EQ(entry.path().filename().string().find("big"), std::string::npos) << entry.path();
}

}  // namespace
}  // namespace bobby::e2e
