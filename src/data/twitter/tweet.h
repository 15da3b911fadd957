#pragma once

#include <cstdint>
#include <simdjson.h>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace bobby::data {

/// One entry of tweets.js, its text as it stands there.
struct Tweet {
  std::string id;
  std::int64_t time = 0;  // seconds since 1970; 0: it does not say
  std::string text;
  std::string language;
  std::string reply_to_user;       // empty: an answer to nobody
  std::int64_t display_begin = 0;  // code points of `text` before it are names of who is answered
  std::vector<std::pair<std::string, std::string>> links;  // t.co address → where it leads
  std::vector<std::string> media;                          // t.co addresses of pictures

  bool is_reply() const { return !reply_to_user.empty(); }
};

/// Reads an entry, {"tweet": {...}} or (before 2020) the object alone; false: it has no text.
bool read_tweet(simdjson::dom::element entry, Tweet& tweet);

/// One entry of note-tweet.js.
struct NoteTweet {
  std::string id;
  std::int64_t time = 0;
  std::string text;
  std::vector<std::pair<std::string, std::string>> links;
};

/// Reads an entry {"noteTweet": {...}}; false: it has no text.
bool read_note_tweet(simdjson::dom::element entry, NoteTweet& note);

/// What a tweet's text is about that is not in its words.
enum class TweetKind : std::uint8_t {
  kPost,
  kRetweet,          ///< "RT @name: ..."
  kHandMadeRetweet,  ///< "so true RT @name: ...": somebody else's words after one's own
};
TweetKind kind_of(std::string_view text);

/// A text as its reader saw it.
struct TweetWords {
  std::string text;
  bool quote = false;            // it ended with the address of the post that it quotes
  std::uint64_t links = 0;       // t.co addresses that became what they stand for
  std::uint64_t media = 0;       // addresses of pictures, which are left out
  std::uint64_t dead_links = 0;  // t.co addresses that nothing is known of, which are left out
  std::uint64_t mentions = 0;    // leading names of who is answered, which are left out
};

/// The words of a tweet: leading names cut, entities decoded, t.co addresses expanded or left out.
TweetWords words_of(const Tweet& tweet);
/// The same with the whole text that note-tweet.js holds for it.
TweetWords words_of(const Tweet& tweet, const NoteTweet& note);

/// What two texts of one post have in common: entities decoded, without links, leading names and
/// the sign of omission at the end, with single spaces.
std::string comparable(std::string_view text);
/// Whether a text ends as one that was cut: "…", perhaps before a t.co address.
bool ends_cut(std::string_view text);

}  // namespace bobby::data
