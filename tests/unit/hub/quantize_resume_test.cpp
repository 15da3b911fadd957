// A run that dies, is stopped or fails, and the one that takes it up.

#include <algorithm>
#include <chrono>
#include <csignal>
#include <fstream>
#include <gtest/gtest.h>
#include <map>
#include <sys/wait.h>
#include <unistd.h>

#include "hub/quantize_model.h"
#include "hub/resumable_folder.h"
#include "hub/synth_model.h"
#include "unit/hub/model_folder.h"

namespace bobby {
namespace {

namespace fs = std::filesystem;
using testing::read_text;
using testing::TemporaryFolder;
using testing::tiny_qwen3;
using testing::write_text;

constexpr std::uint64_t kShardBytes = 6'000;  // the tiny model becomes some ten files

QuantizeModelOptions options() {
  return {.bits = 4, .group_size = 32, .threads = 2, .shard_bytes = kShardBytes};
}

void make_dense(const TemporaryFolder& folder) {
  const auto file = write_text(folder / "tiny.json", tiny_qwen3().dump()).string();
  ASSERT_TRUE(synth_model({.arch = file, .folder = folder / "dense"}));
  write_text(folder / "dense/tokenizer.json", "{}");
}

/// Every file of a folder with what it holds.
std::map<std::string, std::string> contents(const fs::path& folder) {
  std::map<std::string, std::string> files;
  for (const auto& entry : fs::recursive_directory_iterator(folder))
    files[fs::relative(entry.path(), folder).string()] =
        entry.is_regular_file() ? read_text(entry.path()) : "";
  return files;
}

/// Runs quantize_model() in a process that is killed once `share` of the source is through; whether
/// it lived to be killed.
bool killed_run(const fs::path& source, const fs::path& out, double share) {
  const pid_t child = ::fork();
  if (child == 0) {
    const auto made = quantize_model(source, out, options(), [&](const Progress& progress) {
      if (progress.phase == "quantize" &&
          static_cast<double>(progress.done) >= share * static_cast<double>(progress.total))
        ::raise(SIGKILL);
    });
    ::_exit(0);
  }
  int status = 0;
  EXPECT_EQ(::waitpid(child, &status, 0), child);
  return WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
}

TEST(QuantizeResume, AKilledRunGoesOnToTheSameBytes) {
  const TemporaryFolder folder;
  make_dense(folder);
  const auto whole = quantize_model(folder / "dense", folder / "whole", options());
  ASSERT_TRUE(whole) << whole.error().to_string();
  ASSERT_GE(whole->files, 5);
  EXPECT_EQ(whole->files_taken_up, 0);
  const fs::path partial = folder / ".out.partial";
  for (const double share : {0.05, 0.5, 0.3, 0.8, 0.999}) {
    ASSERT_TRUE(killed_run(folder / "dense", folder / "out", share)) << share;
    EXPECT_FALSE(fs::exists(folder / "out"));
    ASSERT_TRUE(fs::exists(partial));
    // Only whole files stand under their names.
    for (const auto& entry : fs::directory_iterator(partial)) {
      const std::string name = entry.path().filename().string();
      if (!name.starts_with("model-")) continue;
      EXPECT_EQ(read_text(entry.path()), read_text(folder / "whole" / name)) << name;
    }
  }
  const auto resumed = quantize_model(folder / "dense", folder / "out", options());
  ASSERT_TRUE(resumed) << resumed.error().to_string();
  EXPECT_GT(resumed->files_taken_up, whole->files / 2);
  EXPECT_EQ(contents(folder / "out"), contents(folder / "whole"));
  EXPECT_FALSE(fs::exists(partial));
  ASSERT_EQ(resumed->errors.size(), whole->errors.size());
  EXPECT_EQ(resumed->quantized, whole->quantized);
  for (std::size_t i = 0; i < whole->errors.size(); ++i) {
    EXPECT_EQ(resumed->errors[i].path, whole->errors[i].path);
    EXPECT_EQ(resumed->errors[i].relative, whole->errors[i].relative);
    EXPECT_EQ(resumed->errors[i].largest, whole->errors[i].largest);
  }
}

TEST(QuantizeResume, AFileThatWasTouchedIsMadeAgain) {
  const TemporaryFolder folder;
  make_dense(folder);
  ASSERT_TRUE(quantize_model(folder / "dense", folder / "whole", options()));
  ASSERT_TRUE(killed_run(folder / "dense", folder / "out", 0.9));
  const fs::path partial = folder / ".out.partial";
  std::vector<fs::path> shards;
  for (const auto& entry : fs::directory_iterator(partial))
    if (entry.path().filename().string().starts_with("model-")) shards.push_back(entry.path());
  std::ranges::sort(shards);
  ASSERT_GE(shards.size(), 3u);
  {
    std::fstream file(shards[1], std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(-5, std::ios::end);
    const char other = static_cast<char>(file.peek() ^ 1);
    file.seekp(-5, std::ios::end);
    file.put(other);
  }
  const auto resumed = quantize_model(folder / "dense", folder / "out", options());
  ASSERT_TRUE(resumed) << resumed.error().to_string();
  EXPECT_EQ(resumed->files_taken_up, 1);
  EXPECT_EQ(contents(folder / "out"), contents(folder / "whole"));
}

TEST(QuantizeResume, AnotherPlanStartsFromTheBeginning) {
  const TemporaryFolder folder;
  make_dense(folder);
  ASSERT_TRUE(killed_run(folder / "dense", folder / "out", 0.9));
  QuantizeModelOptions other = options();
  other.rounding = Rounding::kCpu;
  const auto made = quantize_model(folder / "dense", folder / "out", other);
  ASSERT_TRUE(made) << made.error().to_string();
  EXPECT_EQ(made->files_taken_up, 0);

  ASSERT_TRUE(killed_run(folder / "dense", folder / "again", 0.9));
  const fs::path weights = folder / "dense/model.safetensors";
  fs::last_write_time(weights, fs::last_write_time(weights) + std::chrono::seconds(1));
  const auto newer = quantize_model(folder / "dense", folder / "again", options());
  ASSERT_TRUE(newer) << newer.error().to_string();
  EXPECT_EQ(newer->files_taken_up, 0);
}

struct Stopped {};

TEST(QuantizeResume, AWatcherThatStopsLeavesWhatIsFinished) {
  const TemporaryFolder folder;
  make_dense(folder);
  const auto stop_at = [](double share) {
    return [share](const Progress& progress) {
      if (static_cast<double>(progress.done) >= share * static_cast<double>(progress.total))
        throw Stopped();
    };
  };
  const fs::path partial = folder / ".out.partial";
  EXPECT_THROW((void)quantize_model(folder / "dense", folder / "out", options(), stop_at(0)),
               Stopped);
  EXPECT_FALSE(fs::exists(partial));  // nothing was finished
  EXPECT_THROW((void)quantize_model(folder / "dense", folder / "out", options(), stop_at(1)),
               Stopped);
  EXPECT_TRUE(fs::exists(partial));
  const auto made = quantize_model(folder / "dense", folder / "out", options());
  ASSERT_TRUE(made) << made.error().to_string();
  EXPECT_GT(made->files_taken_up, 0);
}

TEST(QuantizeResume, OneProcessAtATime) {
  const TemporaryFolder folder;
  {
    auto first = ResumableFolder::open(folder / "out", "plan");
    ASSERT_TRUE(first) << first.error().to_string();
    const auto second = ResumableFolder::open(folder / "out", "plan");
    ASSERT_FALSE(second);
    EXPECT_EQ(second.error().code, ErrorCode::kBusy);
    first->keep();
  }
  EXPECT_TRUE(fs::exists(folder / ".out.partial"));
  auto third = ResumableFolder::open(folder / "out", "plan");
  ASSERT_TRUE(third);
  ASSERT_TRUE(third->write_text(third->path() / "file", "text"));
  ASSERT_TRUE(third->commit());
  EXPECT_EQ(contents(folder / "out"), (std::map<std::string, std::string>{{"file", "text"}}));
  EXPECT_EQ(ResumableFolder::open(folder / "out", "plan").error().code, ErrorCode::kUsage);
}

TEST(QuantizeResume, ADiskWithoutRoomIsRefusedBeforeAnythingIsWritten) {
  const TemporaryFolder folder;
  constexpr std::uint64_t kRows = std::uint64_t{1} << 30;  // 8.8 TB of zeros that lie nowhere
  constexpr std::uint64_t kBytes = kRows * 4096 * 2;
  if (fs::space(folder.path()).available > kBytes / 4) GTEST_SKIP() << "this disk has room";
  const std::string header = R"({"lm_head.weight":{"dtype":"BF16","shape":[)" +
                             std::to_string(kRows) + R"(,4096],"data_offsets":[0,)" +
                             std::to_string(kBytes) + "]}}";
  fs::create_directory(folder / "dense");
  write_text(folder / "dense/config.json", tiny_qwen3().dump());
  {
    std::ofstream file(folder / "dense/model.safetensors", std::ios::binary);
    const std::uint64_t length = header.size();
    file.write(reinterpret_cast<const char*>(&length), sizeof length);
    file << header;
  }
  std::error_code refused;
  fs::resize_file(folder / "dense/model.safetensors", 8 + header.size() + kBytes, refused);
  if (refused) GTEST_SKIP() << "this file system has no sparse files of 9 TB";
  const auto made = quantize_model(folder / "dense", folder / "out", {});
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().code, ErrorCode::kLimit) << made.error().to_string();
  EXPECT_NE(made.error().to_string().find("not enough room"), std::string::npos);
  EXPECT_FALSE(fs::exists(folder / "out"));
}

}  // namespace
}  // namespace bobby
