#include <algorithm>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>
#include <string>

#include "fake_network.h"
#include "training/checkpoint.h"
#include "training/durable_files.h"
#include "training/event_file.h"
#include "training/loss_plot.h"
#include "training/metrics.h"
#include "training/plan.h"

namespace bobby {
namespace {

namespace fs = std::filesystem;

std::string read(const fs::path& file) {
  std::ifstream stream(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(stream), {}};
}

class RunFilesTest : public ::testing::Test {
 protected:
  void SetUp() override {
    const auto* test = ::testing::UnitTest::GetInstance()->current_test_info();
    folder_ = fs::path(::testing::TempDir()) / (std::string("run_files_") + test->name());
    fs::remove_all(folder_);
    fs::create_directories(folder_);
  }
  void TearDown() override { fs::remove_all(folder_); }

  void replace(const std::string& text) {
    auto replacement = FolderReplacement::begin(folder_ / "last");
    ASSERT_TRUE(replacement);
    ASSERT_TRUE(replacement->write("a", text));
    ASSERT_TRUE(replacement->commit());
  }
  std::vector<std::string> names() const {
    std::vector<std::string> found;
    for (const auto& entry : fs::directory_iterator(folder_))
      found.push_back(entry.path().filename());
    std::ranges::sort(found);
    return found;
  }

  fs::path folder_;
};

TEST_F(RunFilesTest, AFolderIsReplacedWhole) {
  replace("one");
  replace("two");
  EXPECT_EQ(read(folder_ / "last/a"), "two");
  EXPECT_EQ(names(), std::vector<std::string>{"last"});
  {
    auto given_up = FolderReplacement::begin(folder_ / "last");
    ASSERT_TRUE(given_up->write("a", "three"));
  }
  EXPECT_EQ(read(folder_ / "last/a"), "two");
  EXPECT_EQ(names(), std::vector<std::string>{"last"});
}

// What each moment of a kill leaves, put there by hand.
TEST_F(RunFilesTest, WhatAKillLeavesIsTidiedUp) {
  replace("old");
  fs::create_directories(folder_ / ".last.partial");
  ASSERT_TRUE(recover_folder(folder_ / "last"));
  EXPECT_EQ(read(folder_ / "last/a"), "old");

  fs::rename(folder_ / "last", folder_ / ".last.complete");  // the first ever, not yet renamed
  ASSERT_TRUE(recover_folder(folder_ / "last"));
  EXPECT_EQ(read(folder_ / "last/a"), "old");

  fs::rename(folder_ / "last", folder_ / ".last.replaced");  // between two renames
  fs::create_directories(folder_ / ".last.complete");
  std::ofstream(folder_ / ".last.complete/a") << "new";
  ASSERT_TRUE(recover_folder(folder_ / "last"));
  EXPECT_EQ(read(folder_ / "last/a"), "new");
  EXPECT_EQ(names(), std::vector<std::string>{"last"});
}

TEST_F(RunFilesTest, OneProcessAFolder) {
  auto lock = FolderLock::take(folder_);
  ASSERT_TRUE(lock);
  const auto second = FolderLock::take(folder_);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, ErrorCode::kBusy);
  { const FolderLock let_go = *std::move(lock); }
  EXPECT_TRUE(FolderLock::take(folder_));
}

MetricsRow train_row(std::int64_t iteration, double loss) {
  MetricsRow row;
  row.iteration = iteration;
  row.train_loss = loss;
  row.tokens = 10 * iteration;
  row.learning_rate = 1e-4;
  row.tok_s = 12.5;
  return row;
}

TEST_F(RunFilesTest, ReportsGoOnWhereTheCheckpointWas) {
  MetricsPosition position;
  {
    auto files = MetricsFiles::open(folder_, {});
    ASSERT_TRUE(files);
    ASSERT_TRUE(files->add(train_row(1, 3.5)));
    position = files->position();
    ASSERT_TRUE(files->add(train_row(2, 3.25)));
    ASSERT_TRUE(files->add(SampleText{2, "say", 7, "\"quoted\"\nand more"}));
  }
  auto files = MetricsFiles::open(folder_, position);
  ASSERT_TRUE(files) << files.error().to_string();
  ASSERT_EQ(files->rows().size(), 1u);
  MetricsRow validation;
  validation.iteration = 2;
  validation.val_loss = 3.0;
  ASSERT_TRUE(files->add(validation));
  ASSERT_TRUE(files->draw());
  EXPECT_EQ(read(folder_ / "metrics.jsonl"),
            "{\"iteration\":1,\"train_loss\":3.5,\"tokens\":10,\"learning_rate\":0.0001,"
            "\"tok_s\":12.5}\n"
            "{\"iteration\":2,\"val_loss\":3.0,\"tokens\":0,\"learning_rate\":0.0,"
            "\"tok_s\":0.0}\n");
  EXPECT_EQ(read(folder_ / "metrics.csv"),
            "iteration,train_loss,val_loss,tokens,learning_rate,tok_s\n"
            "1,3.5,,10,0.0001,12.5\n2,,3,0,0,0.0\n");
  EXPECT_EQ(read(folder_ / "samples.jsonl"), "");
  EXPECT_NE(read(folder_ / "loss.svg").find("<svg"), std::string::npos);

  fs::resize_file(folder_ / "metrics.csv", 3);
  const auto shorter = MetricsFiles::open(folder_, position);
  ASSERT_FALSE(shorter);
  EXPECT_EQ(shorter.error().code, ErrorCode::kMismatch);
}

// CRC-32C bit by bit, as its definition has it.
std::uint32_t masked_crc(std::string_view bytes) {
  std::uint32_t crc = 0xffffffff;
  for (const char c : bytes) {
    crc ^= static_cast<unsigned char>(c);
    for (int bit = 0; bit < 8; ++bit) crc = crc & 1 ? crc >> 1 ^ 0x82f63b78 : crc >> 1;
  }
  crc = ~crc;
  return ((crc >> 15) | (crc << 17)) + 0xa282ead8;
}

template <typename T>
T number_at(const std::string& bytes, std::size_t at) {
  T value;
  std::memcpy(&value, bytes.data() + at, sizeof value);
  return value;
}

TEST(EventFile, RecordsAreFramedWithTheirSums) {
  const EventScalar scalars[] = {{"loss/train", 2.5f}, {"learning_rate", 1e-4f}};
  for (const std::string& record :
       {event_file_header(1.0), event_record(2.0, 300, scalars),
        event_text_record(3.0, 300, "sample/7", std::string(300, 'x'))}) {
    const auto length = number_at<std::uint64_t>(record, 0);
    ASSERT_EQ(record.size(), length + 16);
    EXPECT_EQ(number_at<std::uint32_t>(record, 8), masked_crc(record.substr(0, 8)));
    EXPECT_EQ(number_at<std::uint32_t>(record, 12 + length), masked_crc(record.substr(12, length)));
  }
  EXPECT_EQ(masked_crc("123456789"), ((0xe3069283u >> 15) | (0xe3069283u << 17)) + 0xa282ead8);
  // wall_time: fixed64 of field 1; file_version: bytes of field 3.
  EXPECT_EQ(event_file_header(1.0).substr(12, 24),
            std::string("\x09\0\0\0\0\0\0\xf0\x3f\x1a\x0d", 11) + "brain.Event:2");
  // step: varint 300 of field 2.
  EXPECT_EQ(event_record(1.0, 300, {}).substr(21, 3), "\x10\xac\x02");
}

TEST(LossPlot, DrawsWhatThereIs) {
  EXPECT_NE(loss_plot_svg({}).find("</svg>"), std::string::npos);
  std::vector<MetricsRow> rows = {train_row(1, 3.0), train_row(2, 2.0)};
  rows.push_back(train_row(3, std::numeric_limits<double>::infinity()));
  rows.back().train_loss.reset();
  rows.back().val_loss = 2.5;
  const std::string svg = loss_plot_svg(rows);
  EXPECT_NE(svg.find("class=\"train\" d=\"M"), std::string::npos);
  EXPECT_NE(svg.find("iteration 3: 2.5"), std::string::npos);
  EXPECT_EQ(svg.find("nan"), std::string::npos);
  EXPECT_EQ(svg.find("inf"), std::string::npos);
}

TEST(Plan, PacksAreAsLargeAsMemoryAllows) {
  const testing::FakeNetwork network;  // 1000 bytes a row
  EXPECT_EQ(choose_pack_tokens(network, 100, 100'000'000), 4096);
  EXPECT_EQ(choose_pack_tokens(network, 100, 2'000'000), 1024);
  EXPECT_EQ(choose_pack_tokens(network, 3000, 2'000'000), 3000) << "a record is never cut";
}

TEST(Plan, OptimizersKeepWhatTheyKeep) {
  testing::FakeNetwork network;
  OptimizerConfig config;
  EXPECT_EQ(optimizer_bytes(config, network.tensors()), 2u * 14 * 4);
  config.kind = OptimizerKind::kSgd;
  EXPECT_EQ(optimizer_bytes(config, network.tensors()), 0u);
  config.kind = OptimizerKind::kAdafactor;
  EXPECT_EQ(optimizer_bytes(config, network.tensors()), (6u + 5u) * 4);
}

}  // namespace
}  // namespace bobby
