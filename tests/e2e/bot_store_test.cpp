// The store behind `bobby bot`: full disks, damage, copies.

#include <algorithm>
#include <sys/resource.h>
#include <sys/stat.h>

#include "bot_fixture.h"

namespace bobby::e2e {
namespace {

/// As a disk with room for so many bytes a file, for processes that are started meanwhile.
class SmallDisk {
 public:
  explicit SmallDisk(rlim_t bytes) {
    ::getrlimit(RLIMIT_FSIZE, &before_);
    const rlimit small = {bytes, before_.rlim_max};
    ::setrlimit(RLIMIT_FSIZE, &small);
  }
  ~SmallDisk() { ::setrlimit(RLIMIT_FSIZE, &before_); }
  SmallDisk(const SmallDisk&) = delete;
  SmallDisk& operator=(const SmallDisk&) = delete;

 private:
  rlimit before_ = {};
};

TEST_F(Bot, AFullDiskLosesNothing) {
  const std::int64_t id = draft("it waits for room");
  log_in("http://127.0.0.1:1");
  {
    const SmallDisk disk(4096);
    const Outcome outcome = run({"approve", std::to_string(id)});
    EXPECT_EQ(outcome.exit_code, 1);
    EXPECT_TRUE(has(outcome.err, store_.string())) << outcome.err;
  }
  EXPECT_FALSE(approve(id).empty());
}

TEST_F(Bot, ADamagedStoreIsNamedAndNotTouched) {
  log_in("http://127.0.0.1:1");
  std::string garbage(8192, 'x');
  write_file(store_, garbage);
  for (const std::vector<std::string>& words :
       {std::vector<std::string>{"status"}, {"approve", "1"}, {"run", "--cron", "@daily"}}) {
    const Outcome outcome = run(words);
    EXPECT_EQ(outcome.exit_code, 1) << words[0] << ": " << outcome.err;
    EXPECT_TRUE(has(outcome.err, store_.string())) << outcome.err;
  }
  EXPECT_EQ(read_file(store_), garbage);
}

TEST_F(Bot, ABackupHoldsEverything) {
  log_in("http://127.0.0.1:1");
  const std::int64_t id = draft("kept twice");
  const std::string key = approve(id);
  const fs::path copy = folder_.path() / "copies" / "bobby.sqlite";
  const Outcome outcome = run({"backup", copy.string()});
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_TRUE(has(outcome.out, copy.string())) << outcome.out;
  struct stat file = {};
  ASSERT_EQ(::stat(copy.c_str(), &file), 0);
  EXPECT_EQ(file.st_mode & 0777, 0600u);
  EXPECT_EQ(store::Outbox::open(copy).value()->of_draft(id)->value().record_key, key);
  EXPECT_EQ(read_file(copy).find("the-refresh-token"), std::string::npos);
  const Outcome again = run({"backup", copy.string()});
  EXPECT_EQ(again.exit_code, 2);
  EXPECT_TRUE(has(again.err, "exists already")) << again.err;
  store_ = copy;
  const Outcome checked = run({"check"});
  EXPECT_EQ(checked.exit_code, 0) << checked.err;
  EXPECT_TRUE(has(checked.out, "is whole, with 1 draft")) << checked.out;
}

TEST_F(Bot, ABackupThatHasNoRoomLeavesNothing) {
  for (int i = 0; i < 50; ++i) draft(std::string(1000, 'x'));
  const fs::path copy = folder_.path() / "copy.sqlite";
  {
    // More than what opening a store writes beside it, and less than the copy.
    const SmallDisk disk(40'000);
    const Outcome outcome = run({"backup", copy.string()});
    EXPECT_EQ(outcome.exit_code, 1);
    EXPECT_TRUE(has(outcome.err, copy.string())) << outcome.err;
    EXPECT_FALSE(has(outcome.err, store_.string())) << "it is the copy that has no room";
  }
  for (const auto& entry : fs::directory_iterator(folder_.path()))
    EXPECT_FALSE(has(entry.path().filename().string(), "copy.sqlite")) << entry.path();
  EXPECT_EQ(run({"check"}).exit_code, 0);
}

TEST_F(Bot, ACheckOfNoStoreMakesNone) {
  for (const std::vector<std::string>& words :
       {std::vector<std::string>{"check"}, {"backup", "copy.sqlite"}}) {
    const Outcome outcome = run(words);
    EXPECT_EQ(outcome.exit_code, 1);
    EXPECT_TRUE(has(outcome.err, store_.string() + ": is not there")) << outcome.err;
  }
  EXPECT_FALSE(fs::exists(store_));
}

TEST_F(Bot, ACheckFindsWhatIsDamaged) {
  for (int i = 0; i < 100; ++i) draft(std::string(500, 'x') + std::to_string(i));
  std::string bytes = read_file(store_);
  ASSERT_GT(bytes.size(), 30'000u);
  std::fill(bytes.begin() + 20'480, bytes.begin() + 24'576, '\x5a');
  write_file(store_, bytes);
  for (const std::vector<std::string>& words :
       {std::vector<std::string>{"check"}, {"backup", "copy.sqlite"}}) {
    const Outcome outcome = run(words);
    EXPECT_EQ(outcome.exit_code, 1);
    EXPECT_TRUE(has(outcome.err, store_.string() + ": is damaged")) << outcome.err;
    EXPECT_TRUE(has(outcome.err, "put a backup in its place")) << outcome.err;
  }
  EXPECT_FALSE(fs::exists(folder_.path() / "copy.sqlite"));
}

}  // namespace
}  // namespace bobby::e2e
