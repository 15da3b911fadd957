// The hub's environment variables.

#include "hub/cache/hub_settings.h"

#include <gtest/gtest.h>
#include <map>

#include "unit/app/temporary_folder.h"

namespace bobby::hub {
namespace {

using namespace std::chrono_literals;
using Variables = std::map<std::string, std::string>;

VariableLookup lookup(Variables variables) {
  return [variables = std::move(variables)](std::string_view name) -> std::optional<std::string> {
    const auto found = variables.find(std::string(name));
    if (found == variables.end() || found->second.empty()) return std::nullopt;
    return found->second;
  };
}

TEST(HubSettings, TheCacheIsTheFirstThatIsSet) {
  Variables variables = {{"HOME", "/h"}};
  const auto cache = [&] { return hub_cache_folder(lookup(variables)).string(); };
  EXPECT_EQ(cache(), "/h/.cache/huggingface/hub");
  variables["XDG_CACHE_HOME"] = "/x";
  EXPECT_EQ(cache(), "/x/huggingface/hub");
  variables["HF_HOME"] = "~/hf";
  EXPECT_EQ(cache(), "/h/hf/hub");
  variables["HF_HOME"] = "$HOME/hf";
  EXPECT_EQ(cache(), "/h/hf/hub");
  variables["HUGGINGFACE_HUB_CACHE"] = "/old";
  EXPECT_EQ(cache(), "/old");
  variables["HF_HUB_CACHE"] = "/new";
  EXPECT_EQ(cache(), "/new");
}

TEST(HubSettings, TheTokenIsOneOfThree) {
  const TemporaryFolder folder;
  folder.write("token", "  from-file\n");
  Variables variables = {{"HOME", "/h"}, {"HF_HOME", folder.path().string()}};
  const auto token = [&] { return HubSettings::read(lookup(variables)).value().token; };
  EXPECT_EQ(token(), "from-file");
  variables["HF_TOKEN_PATH"] = folder.write("other", "elsewhere").string();
  EXPECT_EQ(token(), "elsewhere");
  variables["HUGGING_FACE_HUB_TOKEN"] = "old";
  EXPECT_EQ(token(), "old");
  variables["HF_TOKEN"] = "new";
  EXPECT_EQ(token(), "new");
  variables["HF_HUB_DISABLE_IMPLICIT_TOKEN"] = "1";
  EXPECT_EQ(token(), "");
}

TEST(HubSettings, ATokenThatIsNoneIsNotSaid) {
  for (const char* bad : {"sec\r\nret: x", "sec ret", "sec\x01ret", "secr\xc3\xa9t"}) {
    const auto read = HubSettings::read(lookup({{"HF_TOKEN", bad}}));
    ASSERT_FALSE(read) << bad;
    EXPECT_EQ(read.error().code, ErrorCode::kUsage);
    EXPECT_EQ(read.error().to_string().find("sec"), std::string::npos);
  }
}

TEST(HubSettings, TrueIsOneOfFourWords) {
  const auto offline = [](const char* text) {
    return HubSettings::read(lookup({{"HF_HUB_OFFLINE", text}})).value().offline;
  };
  for (const char* yes : {"1", "ON", "on", "Yes", "true", "TRUE"}) EXPECT_TRUE(offline(yes)) << yes;
  for (const char* no : {"", "0", "off", "no", "false", "2", "y"}) EXPECT_FALSE(offline(no)) << no;
  EXPECT_TRUE(HubSettings::read(lookup({{"TRANSFORMERS_OFFLINE", "1"}})).value().offline);
  EXPECT_FALSE(HubSettings::read(lookup({{"HF_HUB_DISABLE_SYMLINKS", "1"}})).value().symlinks);
  EXPECT_FALSE(HubSettings::read(lookup({{"HF_HUB_DISABLE_PROGRESS_BARS", "1"}})).value().progress);
}

TEST(HubSettings, TimesAndTheEndpointAreChecked) {
  const auto read = HubSettings::read(lookup({{"HF_HUB_ETAG_TIMEOUT", "3"},
                                              {"HF_HUB_DOWNLOAD_TIMEOUT", "x"},
                                              {"HF_ENDPOINT", "http://localhost:8080/"}}))
                        .value();
  EXPECT_EQ(read.etag_timeout, 3s);
  EXPECT_EQ(read.download_timeout, 10s);
  EXPECT_EQ(read.endpoint, "http://localhost:8080");
  for (const char* bad : {"http://example.org", "ftp://example.org", "example.org", "x"})
    EXPECT_EQ(HubSettings::read(lookup({{"HF_ENDPOINT", bad}})).error().code, ErrorCode::kUsage);
}

}  // namespace
}  // namespace bobby::hub
