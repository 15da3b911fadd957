// bobby train, on a small random model: what it writes, and that nothing that breaks it off changes
// what it ends with.

#include <chrono>
#include <gtest/gtest.h>
#include <memory>
#include <random>
#include <sstream>

#include "tiny_model.h"

namespace bobby::e2e {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;
using std::chrono::microseconds;

#ifdef __SANITIZE_ADDRESS__
constexpr int kKills = 4;  // a run takes many times as long
constexpr int kCompatKills = 2;
#else
constexpr int kKills = 20;
constexpr int kCompatKills = 8;
#endif

constexpr const char* kOurs = R"(
model: tiny
data: data
prompt_form: chatml
iters: 24
batch_size: 2
grad_accumulation_steps: 2
learning_rate: 1e-3
num_layers: 1
lora_parameters: {rank: 4, scale: 10.0, dropout: 0.1}
max_seq_length: 96
mask_prompt: true
steps_per_report: 4
steps_per_eval: 6
val_batches: -1
save_every: 1
)";

constexpr const char* kCompat = R"(
model: tiny
data: texts
compat: mlx
optimizer: adam
iters: 14
batch_size: 2
grad_accumulation_steps: 3
learning_rate: 1e-3
num_layers: 2
lora_parameters: {rank: 2, scale: 10.0, dropout: 0.0}
max_seq_length: 64
steps_per_report: 1
steps_per_eval: 7
save_every: 1
)";

bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

std::vector<nlohmann::json> json_lines(const std::string& text) {
  std::vector<nlohmann::json> objects;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) objects.push_back(nlohmann::json::parse(line));
  return objects;
}

// Records with something in common, so that there is something to learn.
std::string records(int count, int seed, bool chat) {
  std::mt19937 random(static_cast<unsigned>(seed));
  const char* words[] = {"tea", "rain", "code", "bread", "night", "trains", "maps"};
  std::string lines;
  for (int i = 0; i < count; ++i) {
    std::string text = "On";
    for (unsigned n = 2 + random() % 6; n > 0; --n) text += std::string(" ") + words[random() % 7];
    const nlohmann::json record =
        chat ? nlohmann::json{{"messages",
                               {{{"role", "user"}, {"content", "Write a post"}},
                                {{"role", "assistant"}, {"content", text + "."}}}}}
             : nlohmann::json{{"text", text + "."}};
    lines += record.dump() + "\n";
  }
  return lines;
}

class Train : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    folder_ = std::make_unique<TemporaryFolder>();
    world_ = World{folder_->path()};
    made_ = make_tiny_model(world_);
    write_file(world_.folder / "tiny/tokenizer_config.json", R"({"eos_token": "<|im_end|>"})");
    write_file(world_.folder / "data/train.jsonl", records(20, 1, true));
    write_file(world_.folder / "data/valid.jsonl", records(5, 2, true));
    write_file(world_.folder / "data/test.jsonl", records(5, 7, true));
    write_file(world_.folder / "texts/train.jsonl", records(14, 3, false));
    write_file(world_.folder / "texts/valid.jsonl", records(5, 4, false));
    write_file(world_.folder / "ours.yaml", kOurs);
    write_file(world_.folder / "compat.yaml", kCompat);
  }
  static void TearDownTestSuite() { folder_.reset(); }

  void SetUp() override { ASSERT_EQ(made_.exit_code, 0) << made_.err; }

  static std::vector<std::string> begin(const std::string& config, const std::string& out,
                                        std::vector<std::string> more = {}) {
    std::vector<std::string> words = {"train", "--config",  config, "--adapter-path",
                                      out,     "--threads", "2"};
    words.insert(words.end(), more.begin(), more.end());
    return words;
  }
  static std::vector<std::string> resume(const std::string& out) {
    return {"train", "--resume", out, "--threads", "1"};
  }
  static std::string file(const std::string& name) { return read_file(world_.folder / name); }
  static bool exists(const std::string& name) { return fs::exists(world_.folder / name); }

  // metrics.jsonl without what the time of day decides.
  static std::string losses(const std::string& out) {
    std::string text;
    for (auto row : json_lines(file(out + "/metrics.jsonl"))) {
      row.erase("tok_s");
      text += row.dump() + "\n";
    }
    return text;
  }

  static void expect_same(const std::string& out, const std::string& whole) {
    EXPECT_EQ(file(out + "/adapters.safetensors"), file(whole + "/adapters.safetensors"));
    EXPECT_EQ(file(out + "/last/adapters.safetensors"), file(whole + "/last/adapters.safetensors"));
    EXPECT_EQ(file(out + "/last/optimizer.safetensors"),
              file(whole + "/last/optimizer.safetensors"));
    EXPECT_EQ(losses(out), losses(whole));
  }

  static void expect_kills_change_nothing(const std::string& config, int wanted, unsigned seed);

  static std::unique_ptr<TemporaryFolder> folder_;
  static World world_;
  static Outcome made_;
};

std::unique_ptr<TemporaryFolder> Train::folder_;
World Train::world_;
Outcome Train::made_;

TEST_F(Train, WritesAnAdapterThatPosts) {
  write_file(world_.folder / "tested.yaml", std::string(kOurs) + "test: true\n");
  const Outcome outcome = run_bobby(world_, begin("tested.yaml", "written", {"--json"}));
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  for (const char* name :
       {"adapters.safetensors", "adapter_config.json", "voice.json", "0000024_adapters.safetensors",
        "metrics.jsonl", "metrics.csv", "loss.svg", "events.out.tfevents.bobby",
        "best/adapters.safetensors", "best/voice.json", "last/adapters.safetensors",
        "last/adapter_config.json"})
    EXPECT_TRUE(exists(std::string("written/") + name)) << name;
  const auto printed = json_lines(outcome.out);
  const auto kept = json_lines(file("written/metrics.jsonl"));
  ASSERT_EQ(printed.size(), kept.size() + 1);  // and how it ended
  EXPECT_EQ(printed.back()["end"], "done");
  EXPECT_EQ(printed.back()["updates"], 12);
  for (std::size_t i = 0; i < kept.size(); ++i) {
    EXPECT_EQ(printed[i], kept[i]);
    EXPECT_NE(kept[i].contains("train_loss"), kept[i].contains("val_loss"));
    for (const char* key : {"iteration", "tokens", "learning_rate", "tok_s"})
      EXPECT_TRUE(kept[i].contains(key)) << key;
  }
  EXPECT_LT(printed.back()["best_val_loss"], printed.back()["start_val_loss"]);
  EXPECT_LT(printed.back()["test_loss"], printed.back()["start_val_loss"]);
  const auto voice = nlohmann::json::parse(file("written/voice.json"));
  EXPECT_EQ(voice["prompt_form"], "chatml");
  EXPECT_EQ(voice["settings"]["iters"], 24);
  const Outcome post = run_bobby(world_, {"post", "hello", "--model", "tiny", "--adapter",
                                          "written", "--raw", "--max-tokens", "4"});
  EXPECT_EQ(post.exit_code, 0) << post.err;

  // Nothing is written over unasked.
  const Outcome again = run_bobby(world_, begin("ours.yaml", "written"));
  EXPECT_EQ(again.exit_code, 2);
  EXPECT_TRUE(has(again.err, "holds an adapter already")) << again.err;
  EXPECT_TRUE(has(again.err, "--overwrite")) << again.err;
}

TEST_F(Train, PlansWithoutWriting) {
  const Outcome text = run_bobby(world_, begin("ours.yaml", "planned", {"--plan"}));
  ASSERT_EQ(text.exit_code, 0) << text.err;
  for (const char* part : {"optimizer steps", "activations", "it fits", "largest batch", "time"})
    EXPECT_TRUE(has(text.out, part)) << part << " in " << text.out;
  const Outcome json = run_bobby(world_, begin("ours.yaml", "planned", {"--plan", "--json"}));
  const auto plan = nlohmann::json::parse(json.out);
  EXPECT_EQ(plan["updates"], 12);
  EXPECT_EQ(plan["records"], 20);
  EXPECT_GT(plan["largest_batch"], 0);
  EXPECT_GT(plan["tok_s"], 0.0);
  EXPECT_FALSE(exists("planned"));
}

TEST_F(Train, AnInterruptedRunGoesOnToTheSameAdapter) {
  const Outcome whole = run_bobby(world_, begin("ours.yaml", "whole"));
  ASSERT_EQ(whole.exit_code, 0) << whole.err;
  // The first report comes well before the end.
  const Outcome broken =
      interrupt_bobby(world_, begin("ours.yaml", "broken"), std::chrono::milliseconds(20000));
  ASSERT_EQ(broken.exit_code, 130) << broken.err;
  EXPECT_TRUE(has(broken.err, "`bobby train --resume broken` goes on")) << broken.err;
  const Outcome rest = run_bobby(world_, resume("broken"));
  ASSERT_EQ(rest.exit_code, 0) << rest.err;
  expect_same("broken", "whole");
  // There is nothing left to do, and doing it changes nothing.
  EXPECT_EQ(run_bobby(world_, resume("broken/last")).exit_code, 0);
  expect_same("broken", "whole");
}

// Starts and resumes, killed at a random moment each time, until a run has come to its end; new
// runs until there were enough kills.
void Train::expect_kills_change_nothing(const std::string& config, int wanted, unsigned seed) {
  const std::string whole = config + "-whole";
  const auto start = Clock::now();
  const Outcome unbroken = run_bobby(world_, begin(config, whole));
  ASSERT_EQ(unbroken.exit_code, 0) << unbroken.err;
  const auto length = std::chrono::duration_cast<microseconds>(Clock::now() - start);
  std::mt19937 random(seed);
  int kills = 0, resumed = 0;
  for (int run = 0; kills < wanted; ++run) {
    const std::string out = config + "-run" + std::to_string(run);
    for (int turn = 0;; ++turn) {
      const bool there = exists(out + "/last/training_state.json") ||
                         exists(out + "/.last.complete/training_state.json");
      const auto words = there ? resume(out) : begin(config, out, {"--overwrite"});
      const double share = std::uniform_real_distribution<double>(0.1, 0.9)(random);
      // After some turns a run may end in peace.
      const auto after =
          turn < 6
              ? microseconds(static_cast<std::int64_t>(share * static_cast<double>(length.count())))
              : microseconds(600'000'000);
      const Outcome outcome = kill_bobby(world_, words, after);
      resumed += there ? 1 : 0;
      if (outcome.exit_code == 0) break;
      ASSERT_EQ(outcome.exit_code, 128 + 9) << outcome.err;
      ++kills;
    }
    expect_same(out, whole);
    fs::remove_all(world_.folder / out);
  }
  EXPECT_GT(resumed, 0);
}

TEST_F(Train, KillsAtAnyMomentChangeNothing) {
  expect_kills_change_nothing("ours.yaml", kKills, 11);
}

TEST_F(Train, KillsAtAnyMomentChangeNothingUnderCompat) {
  expect_kills_change_nothing("compat.yaml", kCompatKills, 12);
}

TEST_F(Train, StopsWhenTheLossIsNoNumber) {
  write_file(world_.folder / "wild.yaml",
             std::string(kOurs) +
                 "optimizer: sgd\nlr_schedule: {name: step_decay, arguments: "
                 "[1.0e+30, 1.0, 100]}\n");
  const Outcome outcome = run_bobby(world_, begin("wild.yaml", "wild"));
  EXPECT_EQ(outcome.exit_code, 1);
  EXPECT_TRUE(has(outcome.err, "is not finite")) << outcome.err;
  EXPECT_TRUE(has(outcome.err, "data/train.jsonl:")) << outcome.err;
  EXPECT_TRUE(has(outcome.err, "wild/last")) << outcome.err;
  EXPECT_TRUE(exists("wild/last/training_state.json"));
}

TEST_F(Train, StopsEarlyAndKeepsTheBest) {
  // So fast that it only gets worse.
  write_file(world_.folder / "early.yaml",
             std::string(kOurs) + "early_stopping: {patience: 2}\noptimizer: sgd\n");
  const Outcome outcome = run_bobby(
      world_, begin("early.yaml", "early", {"--json", "--learning-rate", "0", "--iters", "200"}));
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  const auto end = json_lines(outcome.out).back();
  EXPECT_EQ(end["end"], "early_stop");
  EXPECT_EQ(end["best_iteration"], 6);
  EXPECT_EQ(end["iterations"], 18);  // two validations later
  EXPECT_EQ(file("early/adapters.safetensors"), file("early/best/adapters.safetensors"));
}

TEST_F(Train, SaysWhatIsWrong) {
  write_file(world_.folder / "typo.yaml", std::string(kOurs) + "batchsize: 3\n");
  const Outcome typo = run_bobby(world_, begin("typo.yaml", "typo"));
  EXPECT_EQ(typo.exit_code, 2);
  EXPECT_TRUE(has(typo.err, "batch_size")) << typo.err;
  EXPECT_FALSE(exists("typo"));

  const Outcome nothing = run_bobby(world_, {"train"});
  EXPECT_EQ(nothing.exit_code, 2);
  EXPECT_TRUE(has(nothing.err, "--config")) << nothing.err;

  const Outcome none = run_bobby(world_, resume("nowhere"));
  EXPECT_EQ(none.exit_code, 1);
  EXPECT_TRUE(has(none.err, "holds no checkpoint")) << none.err;
  EXPECT_FALSE(exists("nowhere"));
}

TEST_F(Train, RefusesToGoOnWithOtherData) {
  write_file(world_.folder / "changing/train.jsonl", records(8, 5, true));
  const Outcome first =
      run_bobby(world_, begin("ours.yaml", "changed", {"--data", "changing", "--iters", "4"}));
  ASSERT_EQ(first.exit_code, 0) << first.err;
  EXPECT_TRUE(has(first.err, "no validation set")) << first.err;
  write_file(world_.folder / "changing/train.jsonl", records(8, 6, true));
  const Outcome second = run_bobby(world_, resume("changed"));
  EXPECT_EQ(second.exit_code, 1);
  EXPECT_TRUE(has(second.err, "is not the data that the run began with")) << second.err;
}

}  // namespace
}  // namespace bobby::e2e
