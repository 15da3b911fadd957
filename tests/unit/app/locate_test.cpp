#include "app/locate.h"

#include <gtest/gtest.h>

#include "temporary_folder.h"

namespace bobby {
namespace {

class LocateTest : public testing::Test {
 protected:
  Environment environment() const {
    return Environment({{"XDG_DATA_HOME", (folder_.path() / "data").string()},
                        {"HF_HUB_CACHE", (folder_.path() / "hub").string()},
                        {"HOME", (folder_.path() / "home").string()}});
  }

  TemporaryFolder folder_;
};

TEST_F(LocateTest, APathIsTakenAsItIs) {
  folder_.write("m/config.json", "{}");
  const auto path = (folder_.path() / "m").string();
  EXPECT_EQ(locate_model(path, environment()).value(), path);
  folder_.write("home/m/config.json", "{}");
  EXPECT_EQ(locate_model("~/m", environment()).value(), folder_.path() / "home/m");
}

TEST_F(LocateTest, AnInstalledModelIsFoundByName) {
  const auto missing = locate_model("demo", environment());
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().code, ErrorCode::kNotFound);
  EXPECT_NE(missing.error().hint.find("make post"), std::string::npos);
  folder_.write("data/bobby/models/demo/config.json", "{}");
  EXPECT_EQ(locate_model("demo", environment()).value(), folder_.path() / "data/bobby/models/demo");
}

TEST_F(LocateTest, TheHuggingFaceCacheIsReadByRevision) {
  folder_.write("hub/models--org--name/refs/main", "abc123");
  folder_.write("hub/models--org--name/refs/pr/1", "def456");
  folder_.write("hub/models--org--name/snapshots/abc123/config.json", "{}");
  folder_.write("hub/models--org--name/snapshots/def456/config.json", "{}");
  const auto snapshots = folder_.path() / "hub/models--org--name/snapshots";
  EXPECT_EQ(locate_model("org/name", environment()).value(), snapshots / "abc123");
  EXPECT_EQ(locate_model("org/name@main", environment()).value(), snapshots / "abc123");
  EXPECT_EQ(locate_model("org/name@pr/1", environment()).value(), snapshots / "def456");
  EXPECT_EQ(locate_model("org/name@def456", environment()).value(), snapshots / "def456");
  const auto missing = locate_model("org/name@v9", environment());
  ASSERT_FALSE(missing);
  EXPECT_NE(missing.error().problem.find("models--org--name"), std::string::npos);
}

TEST_F(LocateTest, ARevisionCannotLeaveTheCache) {
  folder_.write("hub/models--org--name/secret", "abc123");
  folder_.write("hub/models--org--name/snapshots/abc123/config.json", "{}");
  EXPECT_FALSE(locate_model("org/name@../secret", environment()));
  EXPECT_FALSE(locate_model("org/name@/etc", environment()));
}

TEST_F(LocateTest, ATrailingNumberIsTheAdaptersScale) {
  folder_.write("me/adapter_config.json", "{}");
  const auto path = (folder_.path() / "me").string();
  const auto plain = locate_adapter(path, environment()).value();
  EXPECT_EQ(plain.folder, path);
  EXPECT_FALSE(plain.scale);
  const auto scaled = locate_adapter(path + ":2.5", environment()).value();
  EXPECT_EQ(scaled.folder, path);
  EXPECT_EQ(scaled.scale, 2.5f);
}

TEST_F(LocateTest, APathThatHoldsAColonIsStillAPath) {
  folder_.write("me:20/adapter_config.json", "{}");
  folder_.write("a:b/adapter_config.json", "{}");
  const auto whole = locate_adapter((folder_.path() / "me:20").string(), environment()).value();
  EXPECT_EQ(whole.folder, folder_.path() / "me:20");
  EXPECT_FALSE(whole.scale);
  const auto both = locate_adapter((folder_.path() / "me:20:3").string(), environment()).value();
  EXPECT_EQ(both.folder, folder_.path() / "me:20");
  EXPECT_EQ(both.scale, 3.0f);
  EXPECT_TRUE(locate_adapter((folder_.path() / "a:b").string(), environment()));
}

TEST_F(LocateTest, AnAdapterThatIsMissingIsNamedWithoutItsScale) {
  const auto missing = locate_adapter("voice:20", environment());
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().where, "adapter 'voice'");
  folder_.write("data/bobby/adapters/voice/adapter_config.json", "{}");
  EXPECT_TRUE(locate_adapter("voice:20", environment()));
}

}  // namespace
}  // namespace bobby
