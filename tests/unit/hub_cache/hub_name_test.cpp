// What may stand for a repository, and which paths may be of one.

#include "hub/cache/hub_name.h"

#include <gtest/gtest.h>

namespace bobby::hub {
namespace {

TEST(HubName, IsOrganisationNameAndRevision) {
  const auto plain = parse_hub_name("mlx-community/Qwen3-0.6B_4bit").value();
  EXPECT_EQ(plain.organisation, "mlx-community");
  EXPECT_EQ(plain.name, "Qwen3-0.6B_4bit");
  EXPECT_EQ(plain.revision, "main");
  EXPECT_EQ(plain.text(), "mlx-community/Qwen3-0.6B_4bit");
  const auto request = parse_hub_name("a/b@refs/pr/1").value();
  EXPECT_EQ(request.revision, "refs/pr/1");
  EXPECT_EQ(request.repository(), "a/b");
  EXPECT_EQ(request.text(), "a/b@refs/pr/1");
}

TEST(HubName, OtherShapesAreNone) {
  for (const char* text :
       {"",      "a",     "a/",       "/b",     "a/b/c",      "./b",      "a/..",
        "../b",  "a/.b",  "a/b.",     "-a/b",   "a/b-",       "a--b/c",   "a/b..c",
        "a b/c", "a/b@",  "a/b@../x", "a/b@/x", "a/b@x/../y", "a/b@x//y", "a/b.git",
        "~/b",   "a/b\n", "a/b@x\ny", "a/b?c",  "a\\b/c"})
    EXPECT_FALSE(parse_hub_name(text)) << text;
  EXPECT_TRUE(parse_hub_name(std::string(96, 'a') + "/b"));
  EXPECT_FALSE(parse_hub_name(std::string(97, 'a') + "/b"));
}

TEST(HubName, ACommitIsFortyHexDigits) {
  EXPECT_TRUE(is_commit("0123456789abcdef0123456789abcdef01234567"));
  EXPECT_FALSE(is_commit("0123456789ABCDEF0123456789abcdef01234567"));
  EXPECT_FALSE(is_commit("0123456789abcdef0123456789abcdef0123456"));
  EXPECT_FALSE(is_commit("main"));
}

TEST(SafePath, StaysUnderItsFolder) {
  for (const char* path : {"config.json", "a/b/c", "...", "a b", ".gitattributes", "onnx/x.bin"})
    EXPECT_TRUE(is_safe_path(path)) << path;
  for (const char* path : {"", "/", "/etc/passwd", "../x", "a/../b", "a/..", ".", "./a", "a/./b",
                           "a//b", "a/", "a\\b", "a\nb", "a\x7f"})
    EXPECT_FALSE(is_safe_path(path)) << path;
  EXPECT_FALSE(is_safe_path(std::string_view("a\0b", 3)));
  EXPECT_TRUE(is_safe_path(std::string(255, 'a')));
  EXPECT_FALSE(is_safe_path(std::string(256, 'a')));
  std::string deep = "a";
  while (deep.size() <= 1024) deep += "/a";
  EXPECT_FALSE(is_safe_path(deep));
}

}  // namespace
}  // namespace bobby::hub
