#pragma once

// A folder for one test, Twitter archives made in it, and a source read to its end.

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <utility>
#include <vector>
#include <zip.h>

#include "data/source.h"

namespace bobby::data::testing {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;
/// Names and bytes of the files of an archive, in their order.
using Files = std::vector<std::pair<std::string, std::string>>;

class Folder {
 public:
  Folder() {
    std::string name = (fs::temp_directory_path() / "bobby-data-XXXXXX").string();
    path_ = ::mkdtemp(name.data());
  }
  ~Folder() { fs::remove_all(path_); }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;

  const fs::path& path() const { return path_; }
  fs::path write(const std::string& name, std::string_view bytes) const {
    const fs::path file = path_ / name;
    fs::create_directories(file.parent_path());
    std::ofstream(file, std::ios::binary) << bytes;
    return file;
  }
  /// The archive unpacked.
  fs::path write_all(const std::string& name, const Files& files) const {
    for (const auto& [file, bytes] : files) write(name + "/" + file, bytes);
    return path_ / name;
  }
  /// The archive as a .zip file.
  fs::path write_zip(const std::string& name, const Files& files) const {
    const fs::path path = path_ / name;
    int code = 0;
    zip_t* zip = zip_open(path.c_str(), ZIP_CREATE | ZIP_TRUNCATE, &code);
    for (const auto& [file, bytes] : files)
      zip_file_add(zip, file.c_str(), zip_source_buffer(zip, bytes.data(), bytes.size(), 0), 0);
    EXPECT_EQ(zip_close(zip), 0) << zip_strerror(zip);
    return path;
  }
  std::string read(const fs::path& name) const {
    std::ifstream stream(path_ / name, std::ios::binary);
    return {std::istreambuf_iterator<char>(stream), {}};
  }

 private:
  fs::path path_;
};

/// A file of a Twitter archive: `window.YTD.GLOBAL = [...]`.
inline std::string ytd(const std::string& global, const std::vector<Json>& entries) {
  return "window.YTD." + global + " = " + Json(entries).dump(2) + "\n";
}

/// An entry of tweets.js; `more` adds to it or changes it.
inline Json tweet(const std::string& id, const std::string& text,
                  const Json& more = Json::object()) {
  Json body = {
      {"id_str", id}, {"full_text", text},  {"created_at", "Wed Oct 10 20:19:24 +0000 2018"},
      {"lang", "en"}, {"retweeted", false}, {"entities", {{"urls", Json::array()}}}};
  body.update(more);
  return {{"tweet", body}};
}

/// What a source gave.
struct Read {
  std::vector<SourcePost> posts;
  SourceReport report;

  /// The texts by id.
  std::map<std::string, std::string> texts() const {
    std::map<std::string, std::string> texts;
    for (const SourcePost& post : posts) texts[post.id] = post.text;
    return texts;
  }
};

inline Result<Read> read_all(Result<std::unique_ptr<PostSource>> source, const fs::path& folder) {
  if (!source) return fail(std::move(source).error());
  Read read;
  const ProgressFn nobody;
  BOBBY_CHECK((*source)->read(
      [&](SourcePost post) -> Result<void> {
        read.posts.push_back(std::move(post));
        return {};
      },
      read.report, {.progress = nobody, .temporary_folder = folder}));
  return read;
}

inline std::uint64_t sum(const std::map<std::string, std::uint64_t>& counts) {
  std::uint64_t total = 0;
  for (const auto& [what, count] : counts) total += count;
  return total;
}

}  // namespace bobby::data::testing
