// Goldens are stale when the script that makes them changed, or when a golden was edited by hand.

#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <vector>

#include "base/sha256.h"

namespace {

namespace fs = std::filesystem;
const fs::path kRepository = BOBBY_SOURCE_DIR;

std::vector<fs::path> manifests() {
  std::vector<fs::path> found;
  for (const auto& entry : fs::recursive_directory_iterator(kRepository / "tests/parity"))
    if (entry.path().filename() == "MANIFEST.json") found.push_back(entry.path());
  return found;
}

TEST(GoldenManifest, EveryGoldenIsWhatItsScriptMade) {
  ASSERT_FALSE(manifests().empty());
  for (const fs::path& path : manifests()) {
    SCOPED_TRACE(path.string());
    std::ifstream stream(path);
    const auto manifest = nlohmann::json::parse(stream);
    const std::string script = manifest.at("script");
    const auto script_digest = bobby::sha256_file(kRepository / script);
    ASSERT_TRUE(script_digest) << script_digest.error().to_string();
    EXPECT_EQ(*script_digest, manifest.at("script_sha256").get<std::string>())
        << script << " changed: run it again and commit the goldens it writes";

    std::set<std::string> listed;
    for (const auto& [name, digest] : manifest.at("files").items()) {
      listed.insert(name);
      const auto found = bobby::sha256_file(path.parent_path() / name);
      ASSERT_TRUE(found) << found.error().to_string();
      EXPECT_EQ(*found, digest.get<std::string>()) << name << " is not what " << script << " wrote";
    }
  }
}

TEST(GoldenManifest, GoldensStaySmall) {
  std::uintmax_t bytes = 0;
  for (const auto& entry : fs::recursive_directory_iterator(kRepository / "tests/parity"))
    if (entry.is_regular_file()) bytes += entry.file_size();
  EXPECT_LE(bytes, 5u << 20) << "tests/parity holds more than 5 MB";
}

}  // namespace
