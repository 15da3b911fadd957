// The hub's list of files, which a stranger wrote.

#include <gtest/gtest.h>

#include "hub/cache/hub_client.h"

namespace bobby::hub {
namespace {

const std::string kCommit(40, 'a');

std::string listing(const std::string& siblings) {
  return R"({"sha":")" + kCommit + R"(","siblings":)" + siblings + "}";
}

TEST(Listing, IsACommitAndItsFiles) {
  const auto read =
      parse_listing(listing(R"([{"rfilename":"a/b.json","size":1},{"rfilename":"c"}])"), "x");
  ASSERT_TRUE(read) << read.error().to_string();
  EXPECT_EQ(read->commit, kCommit);
  EXPECT_EQ(read->paths, (std::vector<std::string>{"a/b.json", "c"}));
  EXPECT_TRUE(parse_listing(listing("[]"), "x"));
}

TEST(Listing, NothingLeadsOutOfTheRepository) {
  for (const char* path : {"../x", "/etc/passwd", "a/../../x", "", ".", "a//b", "a\\\\..\\\\b",
                           "x\\u0000y", "x\\ny"}) {
    const auto read =
        parse_listing(listing(R"([{"rfilename":")" + std::string(path) + R"("}])"), "org/name");
    ASSERT_FALSE(read) << path;
    EXPECT_EQ(read.error().code, ErrorCode::kMalformed);
    EXPECT_EQ(read.error().where, "org/name");
  }
}

TEST(Listing, OtherShapesAreRefused) {
  for (const std::string& bad :
       {std::string(), std::string("null"), std::string("[]"), std::string("{}"),
        std::string(R"({"sha":"main","siblings":[]})"), std::string(R"({"sha":1,"siblings":[]})"),
        listing("{}"), listing("[1]"), listing("[{}]"), listing(R"([{"rfilename":1}])"),
        listing("[").substr(0, 60), R"({"sha":")" + kCommit + R"("})"})
    EXPECT_FALSE(parse_listing(bad, "x")) << bad;
}

}  // namespace
}  // namespace bobby::hub
