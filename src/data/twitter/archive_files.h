#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "data/archive.h"

namespace bobby::data {

/// The files of a Twitter archive that hold the person's own words. What other people wrote
/// (like.js, bookmark.js, direct messages) has no kind, so it cannot be read.
enum class TwitterFileKind : std::uint8_t {
  kTweets,
  kCommunityTweets,
  kDeletedTweets,
  kNoteTweets,  ///< the whole texts of posts that tweets.js holds cut short
};

struct TwitterFile {
  TwitterFileKind kind = TwitterFileKind::kTweets;
  ArchiveFile file;
  std::optional<std::uint64_t> promised;  ///< entries, as manifest.js counts them
};

struct TwitterFiles {
  std::vector<TwitterFile> files;  ///< note tweets first, since tweets are joined with them
  std::string account;             ///< the person's user id; empty: the archive does not say
};

/// Finds them by manifest.js, where the archive has one (further files are strays, and ignored),
/// else by name. kMalformed, kNotFound when there are no tweets, kUnsupported for an archive of
/// before 2019; each names the file it is about.
Result<TwitterFiles> find_twitter_files(Archive& archive);

/// kMismatch unless a file of `kind` may assign to `global` ("YTD.tweets.part0"): a file by the
/// right name that holds something else is not read.
Result<void> check_global(TwitterFileKind kind, std::string_view global);

}  // namespace bobby::data
