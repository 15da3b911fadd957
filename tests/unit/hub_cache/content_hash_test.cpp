// Both hashes that the hub names files by, against what git and sha256sum say.

#include "hub/cache/content_hash.h"

#include <fstream>
#include <gtest/gtest.h>

#include "unit/app/temporary_folder.h"

namespace bobby::hub {
namespace {

std::string digest(HashKind kind, std::string_view text) {
  ContentHash hash(kind, text.size());
  hash.update(std::as_bytes(std::span(text)).first(text.size() / 2));
  hash.update(std::as_bytes(std::span(text)).subspan(text.size() / 2));
  return hash.hex_digest();
}

TEST(ContentHash, IsWhatOthersSay) {
  EXPECT_EQ(digest(HashKind::kGitBlob, ""), "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391");
  EXPECT_EQ(digest(HashKind::kGitBlob, "hello\n"), "ce013625030ba8dba906f756967f9e9ca394464a");
  EXPECT_EQ(digest(HashKind::kSha256, "hello\n"),
            "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03");
}

TEST(ContentHash, OfAFile) {
  const TemporaryFolder folder;
  const auto file = folder.write("x", "hello\n");
  EXPECT_EQ(hash_file(file, HashKind::kGitBlob, {}).value(),
            "ce013625030ba8dba906f756967f9e9ca394464a");
  EXPECT_EQ(hash_file(folder.path() / "none", HashKind::kSha256, {}).error().code,
            ErrorCode::kNotFound);
}

TEST(ContentHash, TheLengthOfAnETagTellsItsKind) {
  EXPECT_EQ(hash_kind(std::string(40, 'a')), HashKind::kGitBlob);
  EXPECT_EQ(hash_kind(std::string(64, '0')), HashKind::kSha256);
  for (const std::string& other : {std::string(), std::string(32, 'a'), std::string(63, 'a'),
                                   std::string(40, 'A'), std::string(64, 'g')})
    EXPECT_FALSE(hash_kind(other)) << other;
}

}  // namespace
}  // namespace bobby::hub
