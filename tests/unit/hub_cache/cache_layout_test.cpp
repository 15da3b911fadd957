// Where the cache has what, and in which order it is looked up.

#include "hub/cache/cache_layout.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include "hub/cache/file_lock.h"
#include "hub/cache/incomplete_file.h"
#include "unit/app/temporary_folder.h"

namespace bobby::hub {
namespace {

namespace fs = std::filesystem;

const std::string kCommit(40, 'c');

class CacheLayout : public testing::Test {
 protected:
  CachedRepository repository() const { return {folder_.path(), *parse_hub_name("org/name")}; }

  std::string text(const fs::path& file) const {
    std::ifstream stream(file, std::ios::binary);
    return {std::istreambuf_iterator<char>(stream), {}};
  }

  TemporaryFolder folder_;
};

TEST_F(CacheLayout, HasTheHubsNames) {
  const CachedRepository its = repository();
  const fs::path models = folder_.path() / "models--org--name";
  EXPECT_EQ(its.blob("ab"), models / "blobs/ab");
  EXPECT_EQ(its.incomplete("ab"), models / "blobs/ab.incomplete");
  EXPECT_EQ(its.lock("ab"), folder_.path() / ".locks/models--org--name/ab.lock");
  EXPECT_EQ(its.pointer(kCommit, "a/b.json"), models / "snapshots" / kCommit / "a/b.json");
}

TEST_F(CacheLayout, ACommitIsItselfThenWhatRefsSayThenASnapshot) {
  const CachedRepository its = repository();
  EXPECT_EQ(its.commit_of(kCommit), kCommit);
  EXPECT_FALSE(its.commit_of("main"));
  ASSERT_TRUE(its.write_ref("main", kCommit));
  EXPECT_EQ(its.commit_of("main"), kCommit);
  EXPECT_EQ(text(its.folder() / "refs/main"), kCommit) << "and no line end";
  ASSERT_TRUE(its.write_ref("refs/pr/1", kCommit));
  EXPECT_EQ(its.commit_of("refs/pr/1"), kCommit);
  ASSERT_TRUE(its.write_ref(kCommit, kCommit));
  EXPECT_FALSE(fs::exists(its.folder() / "refs" / kCommit));
  folder_.write("models--org--name/snapshots/abc/x", "");
  EXPECT_EQ(its.commit_of("abc"), "abc");
  folder_.write("models--org--name/refs/evil", "../../..");
  EXPECT_FALSE(its.commit_of("evil"));
}

TEST_F(CacheLayout, AFileIsHereOrAbsentOrUnknown) {
  const CachedRepository its = repository();
  EXPECT_EQ(its.look_up(kCommit, "a/x"), Cached::kUnknown);
  its.note_absent(kCommit, "a/x");
  EXPECT_EQ(its.look_up(kCommit, "a/x"), Cached::kAbsent);
  EXPECT_TRUE(fs::is_empty(its.folder() / ".no_exist" / kCommit / "a/x"));
  folder_.write("models--org--name/snapshots/" + kCommit + "/a/x", "");
  EXPECT_EQ(its.look_up(kCommit, "a/x"), Cached::kHere);
}

TEST_F(CacheLayout, APointerIsARelativeLink) {
  const CachedRepository its = repository();
  for (const char* path : {"x.json", "a/b/x.json"}) {
    const fs::path pointer = its.pointer(kCommit, path);
    ASSERT_TRUE(its.make_folders(pointer));
    folder_.write("models--org--name/blobs/ab", "bytes");
    fs::create_symlink("../nowhere", pointer);  // which a new one takes the place of
    ASSERT_TRUE(its.link("ab", pointer, true, true));
    EXPECT_EQ(text(pointer), "bytes");
  }
  EXPECT_EQ(fs::read_symlink(its.pointer(kCommit, "x.json")), "../../blobs/ab");
  EXPECT_EQ(fs::read_symlink(its.pointer(kCommit, "a/b/x.json")), "../../../../blobs/ab");
}

TEST_F(CacheLayout, WithoutLinksABlobMovesOrIsCopied) {
  const CachedRepository its = repository();
  const fs::path pointer = its.pointer(kCommit, "x");
  ASSERT_TRUE(its.make_folders(pointer));
  folder_.write("models--org--name/blobs/ab", "bytes");
  ASSERT_TRUE(its.link("ab", pointer, false, false));
  EXPECT_EQ(text(its.blob("ab")), "bytes");
  EXPECT_EQ(text(pointer), "bytes");
  ASSERT_TRUE(its.link("ab", pointer, false, true));
  EXPECT_FALSE(fs::exists(its.blob("ab")));
  EXPECT_EQ(text(pointer), "bytes");
  EXPECT_FALSE(fs::is_symlink(pointer));
}

TEST_F(CacheLayout, AnETagNamesABlob) {
  EXPECT_EQ(normalized_etag("\"ab12\""), "ab12");
  EXPECT_EQ(normalized_etag("W/\"ab12\""), "ab12");
  EXPECT_EQ(normalized_etag("ab12"), "ab12");
  for (const char* etag : {"", "\"\"", "\"..\"", "\"a/b\"", "\"../../x\"", "W/", "\"a\nb\""})
    EXPECT_FALSE(normalized_etag(etag)) << etag;
  EXPECT_FALSE(normalized_etag(std::string(300, 'a')));
}

TEST_F(CacheLayout, ALockIsHeldByOne) {
  const fs::path file = repository().lock("ab");
  {
    const auto lock = FileLock::acquire(file, {}, {});
    ASSERT_TRUE(lock);
    EXPECT_TRUE(lock->held());
    EXPECT_FALSE(FileLock::try_acquire(file));
    struct Stop {};
    int told = 0;
    EXPECT_THROW(static_cast<void>(FileLock::acquire(
                     file, [] { throw Stop(); }, [&] { ++told; })),
                 Stop);
    EXPECT_EQ(told, 1);
  }
  EXPECT_TRUE(FileLock::try_acquire(file));
  struct stat status = {};
  ASSERT_EQ(::stat(file.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0664u);
  EXPECT_EQ(status.st_size, 0);
}

TEST_F(CacheLayout, AnIncompleteFileGoesOn) {
  const std::string name = "b45ef6fec89518d314f546fd6c3025367b721684";  // of "Hello, World!"
  const auto open = [&] {
    return IncompleteFile::open(folder_.path() / "x.incomplete", HashKind::kGitBlob, 13);
  };
  const auto bytes = [](std::string_view part) { return std::as_bytes(std::span(part)); };
  ASSERT_TRUE(open()->append(bytes("Hello, ")));
  auto file = open();
  ASSERT_TRUE(file);
  EXPECT_EQ(file->size(), 7u);
  ASSERT_TRUE(file->read_again({}));
  ASSERT_TRUE(file->append(bytes("World!")));
  EXPECT_TRUE(file->is_whole(name, {}).value());
  ASSERT_TRUE(file->rename_to(folder_.path() / name));
  EXPECT_EQ(text(folder_.path() / name), "Hello, World!");

  ASSERT_TRUE(open()->append(bytes("much more than there is")));
  EXPECT_EQ(open()->size(), 0u) << "too long: it is of something else";
  auto wrong = open();
  ASSERT_TRUE(wrong->append(bytes("Hello, World?")));
  EXPECT_FALSE(wrong->is_whole(name, {}).value());
}

}  // namespace
}  // namespace bobby::hub
