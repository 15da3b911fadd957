// Who may include whom (docs/architecture.md), read from the includes themselves.

#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>
#include <map>
#include <regex>
#include <set>
#include <string>
#include <vector>

namespace {

namespace fs = std::filesystem;
using Rooms = std::set<std::string>;

// The table of docs/architecture.md. "backend.h" and "training_ops.h" stand for the seams alone,
// "safetensors" for the library under libs/. app and cli may include everything and have no row.
const std::map<std::string, Rooms>& allowed() {
  static const std::map<std::string, Rooms> table = {
      {"base", {"safetensors"}},
      {"tensor", {"base"}},
      {"tokenizer", {"base"}},
      {"voice", {"base"}},
      {"backends", {"backend.h", "training_ops.h", "tensor", "base"}},
      {"gguf", {"safetensors", "base"}},
      {"lora", {"gguf", "tensor", "safetensors", "base"}},
      {"model", {"backend.h", "lora", "tensor", "safetensors", "base"}},
      {"training",
       {"backend.h", "training_ops.h", "model", "lora", "tokenizer", "voice", "tensor",
        "safetensors", "base"}},
      {"fidelity",
       {"training", "backend.h", "training_ops.h", "model", "lora", "tensor", "data", "base"}},
      {"generation", {"model", "lora", "tokenizer", "backend.h", "base"}},
      {"posts", {"generation", "voice", "model", "lora", "tokenizer", "base"}},
      {"data", {"voice", "base"}},
      {"http", {"base"}},
      {"bluesky", {"http", "voice", "base"}},
      {"store", {"base"}},
      {"hub", {"http", "model", "lora", "gguf", "tensor", "safetensors", "tokenizer", "base"}},
      {"bot", {"voice", "posts", "bluesky", "store", "base"}},
      {"server", {"generation", "posts", "voice", "model", "lora", "tokenizer", "store", "base"}},
      {"api",
       {"app", "posts", "generation", "voice", "model", "lora", "tokenizer", "tensor", "base"}},
  };
  return table;
}

struct Include {
  fs::path file;
  std::string target;
};

std::vector<Include> quoted_includes(const fs::path& folder) {
  static const std::regex pattern(R"(^\s*#\s*include\s*["<]([^">]+)[">])");
  std::vector<Include> found;
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    const auto extension = entry.path().extension();
    if (extension != ".h" && extension != ".cpp" && extension != ".inc" && extension != ".cu")
      continue;
    std::ifstream stream(entry.path());
    for (std::string line; std::getline(stream, line);)
      if (std::smatch match; std::regex_search(line, match, pattern))
        found.push_back({entry.path(), match[1].str()});
  }
  return found;
}

// The room an include names, or "" for a library of the outside.
std::string room_of(const std::string& target) {
  for (const std::string seam : {"backend.h", "training_ops.h"})
    if (target == "backends/" + seam) return seam;
  const auto slash = target.find('/');
  if (slash == std::string::npos) return "";
  const std::string first = target.substr(0, slash);
  if (first == "safetensors") return first;
  return fs::is_directory(fs::path(BOBBY_SOURCE_DIR) / "src" / first) ? first : "";
}

// backends/<one>: which of them a path lies in, "" for the seam's own folder.
std::string backend_of(const fs::path& path) {
  std::vector<std::string> parts(path.begin(), path.end());
  for (std::size_t i = 0; i + 2 < parts.size(); ++i)
    if (parts[i] == "backends") return parts[i + 1];
  return "";
}

TEST(IncludeDirection, RoomsIncludeOnlyWhatTheTableAllows) {
  const fs::path source = fs::path(BOBBY_SOURCE_DIR) / "src";
  for (const auto& [room, rooms] : allowed()) {
    ASSERT_TRUE(fs::is_directory(source / room)) << "no such room: " << room;
    const auto includes = quoted_includes(source / room);
    ASSERT_FALSE(includes.empty()) << room << " has no sources";
    for (const Include& include : includes) {
      const std::string target = room_of(include.target);
      if (target.empty() || target == room) continue;
      EXPECT_TRUE(rooms.contains(target))
          << fs::relative(include.file, source).string() << " includes " << include.target
          << ", which " << room << " may not see";
    }
  }
}

TEST(IncludeDirection, TheHubsCacheKnowsNoModel) {
  const fs::path source = fs::path(BOBBY_SOURCE_DIR) / "src";
  for (const Include& include : quoted_includes(source / "hub/cache")) {
    const std::string room = room_of(include.target);
    EXPECT_TRUE(room.empty() || room == "http" || room == "base" ||
                include.target.starts_with("hub/cache/"))
        << include.file << " includes " << include.target;
  }
}

TEST(IncludeDirection, NoBackendSeesAnother) {
  const fs::path source = fs::path(BOBBY_SOURCE_DIR) / "src";
  for (const Include& include : quoted_includes(source / "backends")) {
    const std::string from = backend_of(include.file);
    const std::string to = backend_of(fs::path(include.target));
    if (to.empty()) continue;
    EXPECT_EQ(from, to) << include.file << " includes " << include.target;
  }
}

TEST(IncludeDirection, OnlyTheAppNamesAConcreteBackend) {
  const fs::path source = fs::path(BOBBY_SOURCE_DIR) / "src";
  for (const auto& entry : fs::directory_iterator(source)) {
    const std::string room = entry.path().filename();
    if (!entry.is_directory() || room == "app" || room == "backends") continue;
    for (const Include& include : quoted_includes(entry.path()))
      EXPECT_TRUE(backend_of(fs::path(include.target)).empty())
          << include.file << " includes " << include.target;
  }
}

TEST(IncludeDirection, TheSafetensorsLibraryKnowsNothingOfOurs) {
  const fs::path library = fs::path(BOBBY_SOURCE_DIR) / "libs/safetensors";
  for (const Include& include : quoted_includes(library)) {
    const std::string room = room_of(include.target);
    EXPECT_TRUE(room.empty() || room == "safetensors") << include.file << ": " << include.target;
  }
}

TEST(IncludeDirection, EveryRoomHasARow) {
  const fs::path source = fs::path(BOBBY_SOURCE_DIR) / "src";
  for (const auto& entry : fs::directory_iterator(source)) {
    const std::string room = entry.path().filename();
    if (!entry.is_directory() || room == "app" || room == "cli") continue;
    EXPECT_TRUE(allowed().contains(room)) << room << " is not in the table";
  }
}

}  // namespace
