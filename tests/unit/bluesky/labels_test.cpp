#include "bluesky/labels.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace bobby::bluesky {
namespace {

using nlohmann::json;

const json kProfile = {
    {"$type", "app.bsky.actor.profile"},
    {"displayName", "Alice"},
    {"avatar",
     {{"$type", "blob"}, {"ref", {{"$link", "bafkreia"}}}, {"mimeType", "image/png"}, {"size", 9}}},
    {"somethingNew", {{"of", {1, 2}}}},
    {"labels",
     {{"$type", "com.atproto.label.defs#selfLabels"},
      {"values", {{{"val", "!no-unauthenticated"}, {"later", true}}}}}}};

TEST(SelfLabels, AreAddedBesideWhatIsThere) {
  const auto changed = with_self_label(kProfile.dump(), "bot", true);
  ASSERT_TRUE(changed) << changed.error().to_string();
  ASSERT_TRUE(*changed);
  json wanted = kProfile;
  wanted["labels"]["values"].push_back({{"val", "bot"}});
  EXPECT_EQ(json::parse(**changed), wanted);
  EXPECT_TRUE(has_self_label(**changed, "bot"));
  EXPECT_FALSE(has_self_label(kProfile.dump(), "bot"));
  const auto again = with_self_label(**changed, "bot", true);
  ASSERT_TRUE(again);
  EXPECT_FALSE(*again);
  const auto back = with_self_label(**changed, "bot", false);
  ASSERT_TRUE(back && *back);
  EXPECT_EQ(json::parse(**back), kProfile);
}

TEST(SelfLabels, OfAProfileThatIsNotThere) {
  const auto made = with_self_label("", "bot", true);
  ASSERT_TRUE(made && *made);
  EXPECT_EQ(**made, R"({"$type":"app.bsky.actor.profile","labels":)"
                    R"({"$type":"com.atproto.label.defs#selfLabels","values":[{"val":"bot"}]}})");
  const auto gone = with_self_label(**made, "bot", false);
  ASSERT_TRUE(gone && *gone);
  EXPECT_EQ(**gone, R"({"$type":"app.bsky.actor.profile"})");
  const auto none = with_self_label("", "bot", false);
  ASSERT_TRUE(none);
  EXPECT_FALSE(*none);
}

TEST(SelfLabels, WhatIsNotUnderstoodStays) {
  const auto problem = [](const std::string& record) {
    const auto changed = with_self_label(record, "bot", true);
    return changed ? "changed" : std::string(code_name(changed.error().code));
  };
  EXPECT_EQ(problem("[]"), "malformed");
  EXPECT_EQ(problem(R"({"labels":{"$type":"other.example#labels","values":[]}})"), "unsupported");
  EXPECT_EQ(problem(R"({"labels":[]})"), "unsupported");
  EXPECT_EQ(problem(R"({"labels":{"$type":"com.atproto.label.defs#selfLabels"}})"), "malformed");
  json full = kProfile;
  for (int i = 0; i < 9; ++i) full["labels"]["values"].push_back({{"val", "x"}});
  EXPECT_EQ(problem(full.dump()), "limit");
  EXPECT_FALSE(with_self_label("", "", true));
  EXPECT_FALSE(has_self_label(R"({"labels":{"values":7}})", "bot"));
}

}  // namespace
}  // namespace bobby::bluesky
