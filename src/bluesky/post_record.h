#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "bluesky/facets.h"

namespace bobby::bluesky {

inline constexpr std::string_view kPostCollection = "app.bsky.feed.post";

/// What app.bsky.feed.post and com.atproto.label.defs allow.
inline constexpr std::int64_t kMostPostGraphemes = 300;
inline constexpr std::size_t kMostPostBytes = 3000;
inline constexpr std::size_t kMostLangs = 3;
inline constexpr std::size_t kMostTags = 8;
inline constexpr std::int64_t kMostTagGraphemes = 64;
inline constexpr std::size_t kMostTagBytes = 640;
inline constexpr std::size_t kMostSelfLabels = 10;
inline constexpr std::size_t kMostLabelBytes = 128;

/// A record, as others point to it.
struct RecordRef {
  std::string uri;  ///< at://DID/COLLECTION/KEY
  std::string cid;
};

/// What a post answers: the post itself and the first of its thread, which may be the same.
struct ReplyTo {
  RecordRef root;
  RecordRef parent;
};

/// A page shown below a post.
struct Card {
  std::string uri;
  std::string title;
  std::string description;
};

struct PostFields {
  RichText content;
  std::chrono::system_clock::time_point created_at;
  std::vector<std::string> langs = {};   ///< BCP 47: "en", "pt-BR"
  std::vector<std::string> tags = {};    ///< besides those of the text; without "#"
  std::vector<std::string> labels = {};  ///< of the author himself: "graphic-media"
  std::optional<Card> card = {};
  std::optional<ReplyTo> reply = {};
};

/// The record of a post, as JSON, the same for the same fields, checked by check_post_record().
Result<std::string> make_post_record(const PostFields& fields);

/// Whether a server would take a record of app.bsky.feed.post: every limit of the lexicon, and what
/// it says of formats. kMalformed for what is no JSON object, kLimit or kUsage for a field; all
/// that is wrong is in one error, each with its key and what was found.
Result<void> check_post_record(std::string_view record);

/// The text of a record that passed the check, and its graphemes as Bluesky counts them.
struct PostText {
  std::string text;
  std::int64_t graphemes = 0;
};
Result<PostText> post_text(std::string_view record);

/// Whether two records say the same, whatever the order of their keys.
bool same_record(std::string_view a, std::string_view b);

/// RFC 3339 in UTC with milliseconds: "2025-11-28T16:07:31.042Z".
std::string record_time(std::chrono::system_clock::time_point time);

}  // namespace bobby::bluesky
