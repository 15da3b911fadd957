#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "base/result.h"
#include "data/post.h"

namespace bobby::data {

/// The collection that a person's posts are in.
inline constexpr std::string_view kPostCollection = "app.bsky.feed.post";

/// Reads records of kPostCollection, from whichever form they came in, and hands their posts on.
class PostRecords {
 public:
  /// `did` is whose records they are. `counts` and `sink` must outlive it.
  PostRecords(std::string did, SourceCounts& counts, const PostSink& sink);

  /// Counts the record as read; hands its post on, or counts why not.
  Result<void> take(std::string_view record_key, const nlohmann::json& record);

 private:
  std::string did_;
  SourceCounts& counts_;
  const PostSink& sink_;
};

/// `text` with each link that a facet shows in short ("example.com/some-lo...") written out in
/// full, and how many there were. A link behind other words, and a facet that does not fit its
/// text, change nothing.
struct ExpandedText {
  std::string text;
  std::uint64_t links = 0;
};
ExpandedText expand_links(const std::string& text, const nlohmann::json& record);

}  // namespace bobby::data
