// The file itself: its rights, its versions, and what is said of files that are no stores.

#include <csignal>
#include <fmt/format.h>
#include <fstream>
#include <sqlite3.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "store/migrations.h"
#include "store/sqlite.h"
#include "store_fixture.h"

namespace bobby::store::testing {
namespace {

using StoreFileTest = StoreTest;

unsigned mode_of(const fs::path& path) {
  struct stat status {};
  EXPECT_EQ(::stat(path.c_str(), &status), 0) << path;
  return status.st_mode & 0777;
}

void write_file(const fs::path& path, std::string_view bytes) {
  std::ofstream(path, std::ios::binary) << bytes;
}

std::string read_file(const fs::path& path) {
  std::ifstream stream(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(stream), {}};
}

void expect_error(const Error& error, ErrorCode code, const std::string& part,
                  const fs::path& path) {
  EXPECT_EQ(error.code, code) << error.to_string();
  EXPECT_NE(error.to_string().find(part), std::string::npos) << error.to_string();
  EXPECT_NE(error.to_string().find(path.string()), std::string::npos) << error.to_string();
}

/// Runs SQL on the file as any other program would.
void run_sql(const fs::path& path, const std::string& sql) {
  sqlite3* handle = nullptr;
  ASSERT_EQ(sqlite3_open(path.c_str(), &handle), SQLITE_OK);
  EXPECT_EQ(sqlite3_exec(handle, sql.c_str(), nullptr, nullptr, nullptr), SQLITE_OK)
      << sqlite3_errmsg(handle);
  sqlite3_close(handle);
}

TEST_F(StoreFileTest, FilesAndFoldersAreTheOwnersAlone) {
  path_ = folder_ / "state" / "bobby" / "bobby.sqlite";
  const mode_t before = ::umask(0);
  auto store = open();
  ASSERT_TRUE(store->create({.text = "one"}));
  EXPECT_EQ(mode_of(folder_ / "state"), 0700u);
  EXPECT_EQ(mode_of(folder_ / "state/bobby"), 0700u);
  EXPECT_EQ(mode_of(path_), 0600u);
  EXPECT_EQ(mode_of(path_.string() + "-wal"), 0600u);
  EXPECT_EQ(mode_of(path_.string() + "-shm"), 0600u);
  const fs::path copy = folder_ / "copy.sqlite";
  ASSERT_TRUE(store->backup(copy));
  EXPECT_EQ(mode_of(copy), 0600u);
  store.reset();
  fs::permissions(path_, fs::perms::all);
  open();
  EXPECT_EQ(mode_of(path_), 0600u);
  ::umask(before);
}

TEST_F(StoreFileTest, ABackupIsAWholeStore) {
  auto store = open();
  for (int i = 0; i < 100; ++i) ASSERT_TRUE(store->create({.text = fmt::format("text {}", i)}));
  const fs::path copy = folder_ / "copy.sqlite";
  ASSERT_TRUE(store->backup(copy));
  ASSERT_TRUE(store->remove(1).value());
  auto other = DraftStore::open(copy);
  ASSERT_TRUE(other) << other.error().to_string();
  EXPECT_TRUE((*other)->check());
  EXPECT_EQ((*other)->list({}).value().total, 100);
  EXPECT_EQ((*other)->get(1).value()->text, "text 0");
  const auto again = store->backup(copy);
  ASSERT_FALSE(again);
  expect_error(again.error(), ErrorCode::kUsage, "exists already", copy);
  const auto nowhere = store->backup(folder_ / "bobby.sqlite" / "copy");
  ASSERT_FALSE(nowhere);
  EXPECT_EQ(nowhere.error().code, ErrorCode::kIo);
  for (const auto& entry : fs::directory_iterator(folder_))
    EXPECT_EQ(entry.path().string().find("partial"), std::string::npos) << entry.path();
}

TEST_F(StoreFileTest, FilesThatAreNoStoresAreLeftAsTheyAre) {
  const std::string text(5000, 'x');
  write_file(path_, text);
  expect_error(open_error(), ErrorCode::kMalformed, "is not a database", path_);
  EXPECT_EQ(read_file(path_), text);
  fs::remove(path_);

  run_sql(path_, "CREATE TABLE drafts (id INTEGER); INSERT INTO drafts VALUES (1);");
  fs::permissions(path_, fs::perms(0644));
  const std::string bytes = read_file(path_);
  expect_error(open_error(), ErrorCode::kMalformed, "another program's", path_);
  EXPECT_EQ(read_file(path_), bytes);
  EXPECT_EQ(mode_of(path_), 0644u);

  path_ = folder_;
  expect_error(open_error(), ErrorCode::kUsage, "is a folder", path_);
}

TEST_F(StoreFileTest, ANewerVersionIsNamed) {
  ASSERT_TRUE(open()->create({.text = "one"}));
  const auto newest = static_cast<int>(schema_steps().size());
  run_sql(path_, fmt::format("PRAGMA user_version = {}", newest + 1));
  const Error error = open_error();
  expect_error(error, ErrorCode::kUnsupported, "newer version", path_);
  EXPECT_EQ(error.found, fmt::format("{}", newest + 1));
  run_sql(path_, fmt::format("PRAGMA user_version = {}", newest));
  EXPECT_EQ(open()->list({}).value().total, 1);
}

TEST_F(StoreFileTest, DamageIsFound) {
  {
    auto store = open();
    for (int i = 0; i < 200; ++i)
      ASSERT_TRUE(store->create({.text = std::string(500, static_cast<char>('a' + i % 26))}));
  }
  std::string bytes = read_file(path_);
  for (std::size_t page = 4; page < 12; ++page)
    bytes.replace(page * 4096, 64, std::string(64, 'Z'));
  write_file(path_, bytes);
  expect_error(open_error(), ErrorCode::kMalformed, "is damaged", path_);
  bytes.resize(3000);
  write_file(path_, bytes);
  expect_error(open_error(), ErrorCode::kMalformed, "", path_);
}

TEST_F(StoreFileTest, AFileThatMayNotBeWrittenIsNamed) {
  { ASSERT_TRUE(open()->create({.text = "one"})); }
  fs::permissions(folder_, fs::perms(0755));
  fs::permissions(path_, fs::perms(0444));
  const int status = ended(in_child([&] {
    // For root every file may be written.
    if (::geteuid() == 0 && ::setuid(65534) != 0) return 3;
    const auto store = DraftStore::open(path_);
    if (store) return 1;
    const std::string text = store.error().to_string();
    return text.find("may not be written") != std::string::npos &&
                   text.find(path_.string()) != std::string::npos
               ? 0
               : 2;
  }));
  EXPECT_EQ(status, 0);
}

TEST_F(StoreFileTest, AFailedWriteChangesNothing) {
  ASSERT_TRUE(open()->create({.text = "one"}));
  const int status = ended(in_child([&] {
    auto store = DraftStore::open(path_);
    if (!store) return 1;
    std::signal(SIGXFSZ, SIG_IGN);
    const rlimit limit = {.rlim_cur = 40'000, .rlim_max = 40'000};
    ::setrlimit(RLIMIT_FSIZE, &limit);
    const auto made = (*store)->create({.text = std::string(100'000, 'x')});
    if (made) return 2;
    if (made.error().code != ErrorCode::kIo) return 3;
    if (made.error().to_string().find(path_.string()) == std::string::npos) return 4;
    return (*store)->list({}).value().total == 1 ? 0 : 5;
  }));
  EXPECT_EQ(status, 0);
  auto store = open();
  EXPECT_EQ(store->list({}).value().total, 1);
  EXPECT_TRUE(store->check());
}

TEST_F(StoreFileTest, AFullDiskIsNamed) {
  { ASSERT_TRUE(open()->create({.text = "one"})); }
  auto database = Database::open(path_, std::chrono::milliseconds(10));
  ASSERT_TRUE(database);
  ASSERT_TRUE(database->execute("PRAGMA max_page_count = 1"));
  const auto full = database->execute("CREATE TABLE more AS SELECT zeroblob(1000000) AS bytes");
  ASSERT_FALSE(full);
  expect_error(full.error(), ErrorCode::kIo, "the disk is full", path_);
}

TEST_F(StoreFileTest, ALockedFileIsNamed) {
  const StoreOptions hasty = {.busy_timeout = std::chrono::milliseconds(50)};
  auto store = open(hasty);
  auto other = Database::open(path_, std::chrono::milliseconds(50));
  ASSERT_TRUE(other);
  {
    auto writing = Transaction::begin(*other, Transaction::Kind::kWrite);
    ASSERT_TRUE(writing);
    const auto made = store->create({.text = "one"});
    ASSERT_FALSE(made);
    expect_error(made.error(), ErrorCode::kIo, "locked", path_);
    EXPECT_EQ(store->list({}).value().total, 0) << "readers do not wait for a writer";
  }
  EXPECT_TRUE(store->create({.text = "one"}));
}

}  // namespace
}  // namespace bobby::store::testing
