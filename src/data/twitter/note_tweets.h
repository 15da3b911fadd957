#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <unordered_map>

#include "base/result.h"
#include "data/record_spool.h"
#include "data/twitter/tweet.h"

namespace bobby::data {

/// The whole texts of posts that tweets.js holds cut short, on disk until their tweets come. They
/// have ids of their own, so a tweet's is found by its id (some have the same), else by its second;
/// it must also begin as the tweet does.
class NoteTweets {
 public:
  /// In `folder`. kIo.
  static Result<NoteTweets> create(const std::filesystem::path& folder);

  /// kIo.
  Result<void> add(const NoteTweet& note);
  /// The whole text of `tweet`, if it is one of those; each is given once. kIo.
  Result<std::optional<NoteTweet>> take(const Tweet& tweet);
  /// How many were given to no tweet.
  std::uint64_t left() const { return by_id_.size(); }

 private:
  explicit NoteTweets(RecordSpool spool) : spool_(std::move(spool)) {}
  Result<std::optional<NoteTweet>> if_same(std::size_t index, const std::string& beginning);

  RecordSpool spool_;
  std::unordered_map<std::string, std::size_t> by_id_;  // those not yet given
  std::multimap<std::int64_t, std::size_t> by_time_;
};

}  // namespace bobby::data
