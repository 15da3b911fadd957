#include "data/twitter/archive_files.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <fmt/format.h>

#include "data/js_array.h"
#include "data/json_value.h"

namespace bobby::data {
namespace {

constexpr std::size_t kMostManifestBytes = std::size_t{16} << 20;
constexpr std::string_view kPart = "-part";

struct KindOfFile {
  TwitterFileKind kind;
  std::string_view manifest_key;
  std::string_view stem;    // "tweets" of tweets.js and tweets-part1.js
  std::string_view global;  // "tweets" of YTD.tweets.part0
};

// In the order in which they are read. tweet.js became tweets.js in 2022.
constexpr std::array<KindOfFile, 5> kKinds = {{
    {TwitterFileKind::kNoteTweets, "noteTweet", "note-tweet", "note_tweet"},
    {TwitterFileKind::kTweets, "tweets", "tweets", "tweets"},
    {TwitterFileKind::kTweets, "tweet", "tweet", "tweet"},
    {TwitterFileKind::kCommunityTweets, "communityTweet", "community-tweet", "community_tweet"},
    {TwitterFileKind::kDeletedTweets, "deletedTweets", "deleted-tweets", "deleted_tweets"},
}};

std::string_view folder_of(std::string_view name) {
  const std::size_t slash = name.rfind('/');
  return slash == std::string_view::npos ? "" : name.substr(0, slash + 1);
}
std::string_view base_of(std::string_view name) {
  return name.substr(folder_of(name).size());
}

// The file called `base` that lies nearest to the archive's root.
const ArchiveFile* nearest(const Archive& archive, std::string_view base) {
  const ArchiveFile* found = nullptr;
  for (const ArchiveFile& file : archive.files())
    if (base_of(file.name) == base &&
        (found == nullptr ||
         std::ranges::count(file.name, '/') < std::ranges::count(found->name, '/')))
      found = &file;
  return found;
}

Result<std::string> read_whole(Archive& archive, const std::string& name) {
  BOBBY_TRY(const auto stream, archive.open_file(name));
  std::string text;
  for (std::size_t count = 1; count > 0;) {
    const std::size_t kept = text.size();
    if (kept > kMostManifestBytes)
      return fail({.code = ErrorCode::kLimit,
                   .problem = "is too long for a manifest",
                   .expected = fmt::format("at most {} bytes", kMostManifestBytes)});
    text.resize(kept + (std::size_t{1} << 16));
    BOBBY_TRY(count, stream->read(std::span(text).subspan(kept)));
    text.resize(kept + count);
  }
  return text;
}

// manifest.js assigns one object to window.__THAR_CONFIG.
Result<std::string> manifest_object(Archive& archive, const std::string& name) {
  BOBBY_TRY(std::string text, read_whole(archive, name));
  BOBBY_CHECK(check_text_beginning(std::string_view(text).substr(0, 1024)));
  const std::size_t begin = text.find('{');
  const std::size_t end = text.rfind('}');
  if (begin == std::string::npos || end == std::string::npos || end < begin)
    return fail({.code = ErrorCode::kMalformed,
                 .problem = "holds no object",
                 .expected = "`window.__THAR_CONFIG = {...}`"});
  text = text.substr(begin, end + 1 - begin);
  text.reserve(text.size() + simdjson::SIMDJSON_PADDING);
  return text;
}

// Where the archive holds a file that manifest.js (in `folder`) names: from the root that the
// manifest's own place tells, or beside it.
const ArchiveFile* resolve(const Archive& archive, std::string_view folder,
                           std::string_view named) {
  std::string_view root = folder;
  if (root.ends_with("data/")) root.remove_suffix(5);
  if (const ArchiveFile* file = archive.find(fmt::format("{}{}", root, named))) return file;
  return archive.find(fmt::format("{}{}", folder, base_of(named)));
}

class ManifestReader {
 public:
  ManifestReader(const Archive& archive, std::string_view folder, simdjson::dom::element manifest)
      : archive_(archive), folder_(folder), manifest_(manifest) {}

  Result<TwitterFiles> read() {
    TwitterFiles found;
    if (const auto user = member(manifest_, "userInfo"))
      found.account = text_of(*user, "accountId");
    const auto info = member(manifest_, "archiveInfo");
    if (const auto partial = info ? member(*info, "isPartialArchive") : std::nullopt)
      partial_ = partial->is_bool() && partial->get_bool().value_unsafe();
    const auto types = member(manifest_, "dataTypes");
    if (!types || !types->is_object())
      return fail(
          {.code = ErrorCode::kMalformed, .where = "key 'dataTypes'", .problem = "is missing"});
    for (const KindOfFile& kind : kKinds)
      if (const auto type = member(*types, kind.manifest_key))
        BOBBY_CHECK(read_type(kind, *type, found));
    return found;
  }

 private:
  Result<void> read_type(const KindOfFile& kind, simdjson::dom::element type, TwitterFiles& found) {
    const auto files = member(type, "files");
    simdjson::dom::array list;
    if (!files || files->get(list)) return {};
    for (const simdjson::dom::element entry : list) {
      const std::string named = text_of(entry, "fileName");
      if (!stays_inside(named))
        return fail({.code = ErrorCode::kMalformed,
                     .where = fmt::format("dataTypes.{}", kind.manifest_key),
                     .problem = "names a file outside of the archive",
                     .found = fmt::format("\"{}\"", named)});
      const auto count = member(entry, "count");
      const std::int64_t promised = count ? count_of(*count) : -1;
      const ArchiveFile* file = resolve(archive_, folder_, named);
      if (file != nullptr) {
        found.files.push_back({.kind = kind.kind, .file = *file, .promised = {}});
        if (promised >= 0) found.files.back().promised = static_cast<std::uint64_t>(promised);
      } else if (promised != 0 && !partial_) {
        return fail({.code = ErrorCode::kNotFound,
                     .where = fmt::format("dataTypes.{}", kind.manifest_key),
                     .problem = fmt::format("lists {}, which is not there", named),
                     .hint = "the archive is not whole"});
      }
    }
    return {};
  }

  const Archive& archive_;
  std::string_view folder_;
  simdjson::dom::element manifest_;
  bool partial_ = false;
};

// "tweets-part12.js" of the stem "tweets" is 12, "tweets.js" 0; -1: another file.
int part_number(std::string_view base, std::string_view stem) {
  if (!base.starts_with(stem) || !base.ends_with(".js")) return -1;
  std::string_view rest = base.substr(stem.size(), base.size() - stem.size() - 3);
  if (rest.empty()) return 0;
  if (!rest.starts_with(kPart)) return -1;
  rest.remove_prefix(kPart.size());
  int part = 0;
  const auto [end, error] = std::from_chars(rest.data(), rest.data() + rest.size(), part);
  return error == std::errc() && end == rest.data() + rest.size() ? part : -1;
}

TwitterFiles find_by_name(const Archive& archive, std::string_view folder) {
  TwitterFiles found;
  for (const KindOfFile& kind : kKinds) {
    std::vector<std::pair<int, const ArchiveFile*>> parts;
    for (const ArchiveFile& file : archive.files())
      if (folder_of(file.name) == folder)
        if (const int part = part_number(base_of(file.name), kind.stem); part >= 0)
          parts.emplace_back(part, &file);
    std::ranges::sort(parts);
    for (const auto& [part, file] : parts)
      found.files.push_back({.kind = kind.kind, .file = *file, .promised = {}});
  }
  return found;
}

// account.js: [{"account": {"accountId": "12", ...}}]
Result<std::string> read_account(Archive& archive, const std::string& name) {
  BOBBY_TRY(const auto stream, archive.open_file(name));
  JsArrayReader reader(*stream);
  BOBBY_CHECK(reader.begin());
  BOBBY_TRY(const auto object, reader.next());
  if (!object) return std::string();
  JsonReader json;
  BOBBY_TRY(const auto element, json.parse(*object));
  const auto account = member(element, "account");
  return account ? text_of(*account, "accountId") : std::string();
}

Error no_tweets(const Archive& archive) {
  // Until 2018 an archive was data/js/tweets/2018_01.js and so on.
  const bool old = std::ranges::any_of(archive.files(), [](const ArchiveFile& file) {
    return file.name.find("js/tweets/") != std::string::npos ||
           base_of(file.name) == "tweet_index.js";
  });
  if (old)
    return {.code = ErrorCode::kUnsupported,
            .problem = "is an archive of the kind that Twitter made before 2019",
            .hint = "ask Twitter for a new one; it holds the same posts"};
  return {.code = ErrorCode::kNotFound,
          .problem = "holds no tweets",
          .expected = "data/tweets.js, or data/tweet.js in older archives",
          .hint = "give the archive's folder or its .zip file"};
}

}  // namespace

Result<TwitterFiles> find_twitter_files(Archive& archive) {
  TwitterFiles found;
  std::string folder;
  if (const ArchiveFile* manifest = nearest(archive, "manifest.js")) {
    folder = folder_of(manifest->name);
    const auto named = [&](Error error) { return fail(std::move(error).in(manifest->name)); };
    auto object = manifest_object(archive, manifest->name);
    if (!object) return named(std::move(object).error());
    JsonReader json;
    auto element = json.parse(*object);
    if (!element) return named(std::move(element).error());
    auto read = ManifestReader(archive, folder, *element).read();
    if (!read) return named(std::move(read).error());
    found = *std::move(read);
  } else {
    const ArchiveFile* tweets = nearest(archive, "tweets.js");
    if (tweets == nullptr) tweets = nearest(archive, "tweet.js");
    if (tweets == nullptr) return fail(no_tweets(archive));
    folder = folder_of(tweets->name);
    found = find_by_name(archive, folder);
  }
  const auto is_tweets = [](const TwitterFile& file) {
    return file.kind == TwitterFileKind::kTweets;
  };
  if (std::ranges::none_of(found.files, is_tweets)) return fail(no_tweets(archive));
  const std::string account = folder + "account.js";
  if (found.account.empty() && archive.find(account) != nullptr) {
    auto id = read_account(archive, account);
    if (!id) return fail(std::move(id).error().in(account));
    found.account = *std::move(id);
  }
  return found;
}

Result<void> check_global(TwitterFileKind kind, std::string_view global) {
  std::string expected;
  for (const KindOfFile& row : kKinds) {
    if (row.kind != kind) continue;
    if (global.starts_with(fmt::format("YTD.{}.part", row.global))) return {};
    expected += fmt::format("{}YTD.{}.part0", expected.empty() ? "" : " or ", row.global);
  }
  return fail({.code = ErrorCode::kMismatch,
               .problem = "holds something else than its name says, and is not read",
               .expected = expected,
               .found = fmt::format("\"{}\"", global)});
}

}  // namespace bobby::data
