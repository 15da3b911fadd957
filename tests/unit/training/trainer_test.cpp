#include "training/trainer.h"

#include <algorithm>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>
#include <string>
#include <sys/resource.h>

#include "fake_network.h"
#include "training/adapter_writer.h"

namespace bobby {
namespace {

namespace fs = std::filesystem;
using testing::FakeNetwork;

Dataset dataset(int count, const char* file) {
  Dataset made;
  made.file = file;
  for (int i = 0; i < count; ++i) {
    TrainingExample example;
    for (int t = 0; t < 3 + i % 4; ++t) example.tokens.push_back(10 * i + t);
    example.loss_begin = 1;
    example.record = i + 1;
    example.keys = 1;
    made.examples.push_back(std::move(example));
  }
  return made;
}

std::string read(const fs::path& file) {
  std::ifstream stream(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(stream), {}};
}

class TrainerTest : public ::testing::Test {
 protected:
  void SetUp() override {
    const auto* test = ::testing::UnitTest::GetInstance()->current_test_info();
    folder_ = fs::path(::testing::TempDir()) / (std::string("trainer_") + test->name());
    fs::remove_all(folder_);
    fs::create_directories(folder_);
    config_ = *parse_training_config(
        "data: d\niters: 5\nbatch_size: 2\ngrad_accumulation_steps: 2\nlearning_rate: 0.01\n"
        "steps_per_report: 1\nsteps_per_eval: 2\nsave_every: 100\nval_batches: -1\n",
        "test");
    data_ = {dataset(7, "train.jsonl"), dataset(3, "valid.jsonl")};
  }
  void TearDown() override { fs::remove_all(folder_); }

  Result<TrainingOutcome> run(FakeNetwork& network, const Checkpoint* resume = nullptr,
                              const std::string& name = "run") {
    fs::create_directories(folder_ / name);
    TrainingWatch watch;
    watch.cancel = &cancel_;
    watch.on_report = [this](const MetricsRow& row) {
      reports_.push_back(row);
      if (row.iteration == cancel_at_ && row.train_loss) cancel_ = true;
    };
    auto trainer = Trainer::begin({.config = &config_,
                                   .network = &network,
                                   .data = &data_,
                                   .folder = folder_ / name,
                                   .identity = {},
                                   .texts = {"{}", "{}"}},
                                  watch, resume);
    if (!trainer) return fail(trainer.error());
    return (*trainer)->run();
  }

  fs::path folder_;
  TrainingConfig config_;
  TrainingData data_;
  std::vector<MetricsRow> reports_;
  std::atomic<bool> cancel_ = false;
  std::int64_t cancel_at_ = -1;
};

TEST_F(TrainerTest, TheLastGroupOfARunMakesAStepToo) {
  FakeNetwork network;
  const auto outcome = run(network);
  ASSERT_TRUE(outcome) << outcome.error().to_string();
  EXPECT_EQ(outcome->iterations, 5);
  EXPECT_EQ(outcome->updates, 3u);
  EXPECT_EQ(outcome->end, TrainingOutcome::End::kDone);
  EXPECT_LT(*outcome->best_val_loss, *outcome->start_val_loss);
  EXPECT_TRUE(outcome->holds_best);
}

TEST_F(TrainerTest, MlxLmDropsIt) {
  config_.compat_mlx = true;
  config_.max_seq_length = 64;
  FakeNetwork network;
  const auto outcome = run(network);
  ASSERT_TRUE(outcome) << outcome.error().to_string();
  EXPECT_EQ(outcome->updates, 2u);
  // Validation at iteration 1, each steps_per_eval and the last, before the step.
  std::vector<std::int64_t> validated;
  for (const MetricsRow& row : reports_)
    if (row.val_loss) validated.push_back(row.iteration);
  EXPECT_EQ(validated, (std::vector<std::int64_t>{1, 2, 4, 5}));
}

TEST_F(TrainerTest, AStepIsTheMeanOverItsTokensHoweverItIsCut) {
  config_.iters = 1;
  config_.batch_size = 4;
  config_.grad_accumulation_steps = 1;
  FakeNetwork whole;
  ASSERT_TRUE(run(whole));
  config_.iters = 2;
  config_.batch_size = 2;
  config_.grad_accumulation_steps = 2;
  FakeNetwork cut;
  ASSERT_TRUE(run(cut, nullptr, "cut"));
  config_.packing = false;
  FakeNetwork unpacked;
  ASSERT_TRUE(run(unpacked, nullptr, "unpacked"));
  EXPECT_EQ(whole.runs, 1);
  EXPECT_EQ(unpacked.runs, 4);
  for (std::size_t t = 0; t < 2; ++t) {
    EXPECT_EQ(whole.tensors()[t].value, cut.tensors()[t].value);
    EXPECT_EQ(whole.tensors()[t].value, unpacked.tensors()[t].value);
  }
}

TEST_F(TrainerTest, ResumesWhereverItIsStopped) {
  for (const bool compat : {false, true}) {
    config_.compat_mlx = compat;
    config_.iters = 12;
    config_.grad_accumulation_steps = 3;
    FakeNetwork whole;
    cancel_at_ = -1;
    reports_.clear();
    ASSERT_TRUE(run(whole, nullptr, "whole"));
    const auto reports = reports_;
    for (std::int64_t stop = 1; stop < 12; ++stop) {
      const std::string name = "stop" + std::to_string(stop);
      FakeNetwork broken;
      cancel_at_ = stop;
      reports_.clear();
      const auto first = run(broken, nullptr, name);
      ASSERT_TRUE(first) << first.error().to_string();
      cancel_ = false;
      cancel_at_ = -1;
      if (first->end == TrainingOutcome::End::kDone) continue;  // ours has no report there
      const auto checkpoint = read_checkpoint(folder_ / name);
      ASSERT_TRUE(checkpoint) << checkpoint.error().to_string();
      EXPECT_EQ(checkpoint->state.iteration, first->iterations);
      FakeNetwork rest;
      ASSERT_TRUE(run(rest, &*checkpoint, name));
      for (std::size_t t = 0; t < 2; ++t)
        EXPECT_EQ(rest.tensors()[t].value, whole.tensors()[t].value) << stop;
      ASSERT_EQ(reports_.size(), reports.size()) << stop;
      for (std::size_t i = 0; i < reports.size(); ++i) {
        EXPECT_EQ(reports_[i].iteration, reports[i].iteration);
        EXPECT_EQ(reports_[i].train_loss, reports[i].train_loss);
        EXPECT_EQ(reports_[i].val_loss, reports[i].val_loss);
      }
      fs::remove_all(folder_ / name);
    }
    fs::remove_all(folder_ / "whole");
  }
}

TEST_F(TrainerTest, NamesTheRecordsOfAStepThatIsNoNumber) {
  config_.iters = 40;
  data_.validation.examples.clear();
  FakeNetwork network;
  network.bad_record = 4;
  const auto outcome = run(network);
  ASSERT_FALSE(outcome);
  EXPECT_EQ(outcome.error().code, ErrorCode::kNumeric);
  const std::string text = outcome.error().to_string();
  EXPECT_NE(text.find("train.jsonl:5: the loss of this record is not finite"), std::string::npos)
      << text;
  const auto checkpoint = read_checkpoint(folder_ / "run");
  ASSERT_TRUE(checkpoint) << checkpoint.error().to_string();
  // The state is that of before the step: with the record mended, the run goes on from there.
  FakeNetwork rest;
  const auto end = run(rest, &*checkpoint);
  ASSERT_TRUE(end) << end.error().to_string();
  FakeNetwork whole;
  ASSERT_TRUE(run(whole, nullptr, "whole"));
  EXPECT_EQ(rest.tensors()[0].value, whole.tensors()[0].value);
}

TEST_F(TrainerTest, AFullDiskLeavesTheLastCheckpoint) {
  data_.validation.examples.clear();
  config_.iters = 4;
  FakeNetwork network;
  ASSERT_TRUE(run(network));
  const std::string before = read(folder_ / "run/last/training_state.json");
  const auto checkpoint = read_checkpoint(folder_ / "run");
  ASSERT_TRUE(checkpoint);
  config_.iters = 80;
  std::signal(SIGXFSZ, SIG_IGN);
  rlimit old = {};
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &old), 0);
  const rlimit full = {.rlim_cur = 3000, .rlim_max = old.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &full), 0);
  FakeNetwork rest;
  const auto outcome = run(rest, &*checkpoint);
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &old), 0);
  ASSERT_FALSE(outcome);
  EXPECT_EQ(outcome.error().code, ErrorCode::kIo);
  EXPECT_NE(outcome.error().to_string().find("is whole: `bobby train --resume"), std::string::npos)
      << outcome.error().to_string();
  const auto again = read_checkpoint(folder_ / "run");
  ASSERT_TRUE(again) << again.error().to_string();
  FakeNetwork mended, whole;
  const auto mended_end = run(mended, &*again);
  ASSERT_TRUE(mended_end) << mended_end.error().to_string();
  ASSERT_TRUE(run(whole, nullptr, "whole"));
  EXPECT_EQ(mended.tensors()[0].value, whole.tensors()[0].value);
}

TEST_F(TrainerTest, KeepsTheNewestNumberedFiles) {
  config_.save_every = 1;
  config_.keep_checkpoints = 2;
  FakeNetwork network;
  ASSERT_TRUE(run(network));
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(folder_ / "run"))
    if (entry.path().filename().string().starts_with("00"))
      names.push_back(entry.path().filename());
  std::ranges::sort(names);
  EXPECT_EQ(names, (std::vector<std::string>{numbered_adapter_file(4), numbered_adapter_file(5)}));
}

TEST_F(TrainerTest, ACheckpointOfAnotherShapeIsNamed) {
  FakeNetwork network;
  ASSERT_TRUE(run(network));
  const auto checkpoint = read_checkpoint(folder_ / "run");
  ASSERT_TRUE(checkpoint);
  FakeNetwork other;
  other.tensors()[0].name = "model.layers.1.self_attn.q_proj.lora_a";
  const auto outcome = run(other, &*checkpoint);
  ASSERT_FALSE(outcome);
  const std::string text = outcome.error().to_string();
  EXPECT_NE(text.find("'model.layers.1.self_attn.q_proj.lora_a': is missing"), std::string::npos)
      << text;
  EXPECT_NE(text.find("'model.layers.0.self_attn.q_proj.lora_a': is not among"), std::string::npos)
      << text;
}

}  // namespace
}  // namespace bobby
