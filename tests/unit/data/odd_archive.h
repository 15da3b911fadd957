#pragma once

// A Twitter archive with every oddity that is known of them, and what must become of it.

#include "data_fixture.h"

namespace bobby::data::testing {

inline const std::string kLongText =
    "A long thought begins like this & goes on: the kettle, the window, the rain that would not "
    "stop "
    "for three days, the neighbour's radio, and the letter that came on the second of them, which "
    "I "
    "did not open until the rain had stopped, because I knew what was in it. See "
    "https://t.co/note1 for the rest.";

/// Entries of tweets.js, 1 to 21.
inline std::vector<Json> odd_tweets() {
  const auto url = [](const std::string& address, const std::string& target) {
    return Json{{"url", address}, {"expanded_url", target}, {"indices", {"1", "24"}}};
  };
  const auto links = [&](const Json& list) { return Json{{"entities", {{"urls", list}}}}; };
  const Json picture = {
      {"media", Json::array({{{"url", "https://t.co/pic1"}, {"media_url", "http://p/1.jpg"}}})}};
  const std::string cut = kLongText.substr(0, 236) + "\u2026 https://t.co/cut1";
  std::string escaped_cut = cut;
  escaped_cut.replace(escaped_cut.find('&'), 1, "&amp;");

  std::vector<Json> tweets = {
      tweet("1", "Tea &amp; toast &lt;3 &gt; coffee; &amp;lt; stays as typed"),
      tweet("2", "RT @friend: words that somebody else has written \u2026"),
      tweet("3", "So true! RT @friend: words that somebody else has written"),
      tweet("4", "Two links: https://t.co/abc and https://t.co/abcd.",
            links(Json::array({url("https://t.co/abc", "https://example.org/a?x=1&y=2"),
                               url("https://t.co/abcd", "https://example.org/b")}))),
      tweet("5", "Look at the sky https://t.co/pic1",
            {{"entities", picture}, {"extended_entities", picture}}),
      tweet("6", "@anna @bert I think so too",
            {{"in_reply_to_user_id_str", "77"}, {"display_text_range", {"12", "26"}}}),
      tweet("7", "@anna from before there were ranges", {{"in_reply_to_user_id_str", "77"}}),
      tweet("8", "The second part of what I began",
            {{"in_reply_to_user_id_str", "42"}, {"display_text_range", {"0", "31"}}}),
      tweet("9", ".@anna is right about the weather"),
      tweet("10", "This is exactly it https://t.co/quo",
            links(Json::array({url("https://t.co/quo", "https://twitter.com/anna/status/99")}))),
      tweet("11", escaped_cut, {{"created_at", "Wed Aug 23 10:07:26 +0000 2023"}}),
      tweet("12", std::string(250, 'w') + "\u2026 https://t.co/gone"),
      tweet("13", "A short one that trails off by itself\u2026"),
      tweet("14", "Where did https://t.co/gone2 go?"),
      tweet("15", "https://t.co/pic1", {{"entities", picture}}),
      tweet("16", "   "),
      tweet("17", "Bonjour tout le monde", {{"lang", "fr"}}),
      tweet("18", "hmm", {{"lang", "und"}}),
      tweet("19", "An index that is off cuts no words", {{"display_text_range", {"9", "34"}}}),
      tweet("20", "In the old place \U0001F44D\U0001F3FD", {{"created_at", "no date"}}),
  };
  // Before 2020 entries were flat, and some numbers were numbers.
  Json flat = tweet("21", "A flat entry of long ago")["tweet"];
  flat.erase("id_str");
  flat["id"] = 21;
  tweets.push_back(flat);
  return tweets;
}

/// An entry of note-tweet.js.
inline Json note_tweet(const std::string& id, const std::string& at, const std::string& text) {
  const Json link = {{"shortUrl", "https://t.co/note1"},
                     {"expandedUrl", "https://example.org/letter"}};
  const Json core = {{"text", text}, {"urls", Json::array({link})}};
  return Json{{"noteTweet", {{"noteTweetId", id}, {"createdAt", at}, {"core", core}}}};
}

/// What manifest.js says.
inline Json odd_manifest() {
  const auto listed_file = [](const std::string& file, const std::string& global, int count) {
    return Json{{"fileName", "data/" + file},
                {"globalName", "YTD." + global},
                {"count", std::to_string(count)}};
  };
  const auto listed = [&](const std::string& file, const std::string& global, int count) {
    return Json{{"files", Json::array({listed_file(file, global, count)})}};
  };
  Json types = {
      {"tweets", listed("tweets.js", "tweets.part0", 21)},
      {"noteTweet", listed("note-tweet.js", "note_tweet.part0", 2)},
      {"communityTweet", listed("community-tweet.js", "community_tweet.part0", 1)},
      {"deletedTweets", listed("deleted-tweets.js", "deleted_tweets.part0", 1)},
      {"like", listed("like.js", "like.part0", 1)},
  };
  types["tweets"]["files"].push_back(listed_file("tweets-part1.js", "tweets.part1", 3));
  return {{"userInfo", {{"accountId", "42"}, {"userName", "me"}}},
          {"archiveInfo", {{"isPartialArchive", false}}},
          {"dataTypes", types}};
}

/// The archive's files. `root` goes before every name.
inline Files odd_archive(const std::string& root = "") {
  const std::string theirs = "the words of somebody else";
  return {
      {root + "data/manifest.js", "window.__THAR_CONFIG = " + odd_manifest().dump(2) + ";"},
      {root + "data/tweets.js", ytd("tweets.part0", odd_tweets())},
      // Its array has an optional semicolon, and it holds fewer than the manifest promises.
      {root + "data/tweets-part1.js",
       ytd("tweets.part1", {tweet("22", "From the second file"), tweet("23", "And another one")}) +
           ";"},
      {root + "data/tweets-part7.js", ytd("tweets.part7", {tweet("90", "A stray file")})},
      {root + "data/note-tweet.js",
       ytd("note_tweet.part0",
           {note_tweet("800", "2023-08-23T10:07:26.000Z", "Another text of the same second"),
            note_tweet("801", "2023-08-23T10:07:27.000Z", kLongText)})},
      {root + "data/community-tweet.js",
       ytd("community_tweet.part0", {tweet("24", "Said among people who knit")})},
      {root + "data/deleted-tweets.js",
       ytd("deleted_tweets.part0", {tweet("25", "I wish I had not said this")})},
      {root + "data/like.js", ytd("like.part0", {{{"like", {{"fullText", theirs}}}}})},
      {root + "data/bookmark.js", ytd("bookmark.part0", {{{"bookmark", {{"fullText", theirs}}}}})},
      {root + "data/direct-messages.js", ytd("direct_messages.part0", {{{"text", theirs}}})},
      {root + "data/tweets_media/5-pic1.jpg", "not a picture"},
  };
}

/// What a reader of tweets 1 to 25 saw; those that are not here were left out.
inline std::map<std::string, std::string> odd_texts() {
  std::string joined = kLongText;
  joined.replace(joined.find("https://t.co/note1"), 18, "https://example.org/letter");
  return {
      {"1", "Tea & toast <3 > coffee; &lt; stays as typed"},
      {"4", "Two links: https://example.org/a?x=1&y=2 and https://example.org/b."},
      {"5", "Look at the sky"},
      {"6", "I think so too"},
      {"7", "from before there were ranges"},
      {"8", "The second part of what I began"},
      {"9", ".@anna is right about the weather"},
      {"10", "This is exactly it"},
      {"11", joined},
      {"13", "A short one that trails off by itself\u2026"},
      {"14", "Where did go?"},
      {"17", "Bonjour tout le monde"},
      {"18", "hmm"},
      {"19", "An index that is off cuts no words"},
      {"20", "In the old place \U0001F44D\U0001F3FD"},
      {"21", "A flat entry of long ago"},
      {"22", "From the second file"},
      {"23", "And another one"},
      {"24", "Said among people who knit"},
  };
}

/// Why the others were not taken.
inline std::map<std::string, std::uint64_t> odd_left_out() {
  return {
      {"retweet", 1},                                              // 2
      {"holds somebody else's words (RT @ within the text)", 1},   // 3
      {"cut short, and its whole text is not in the archive", 1},  // 12
      {"a picture or a link, without words", 1},                   // 15
      {"without text", 1},                                         // 16
      {"deleted by its writer", 1},                                // 25
      {"long text without its tweet", 1},                          // note 800
  };
}

/// What was done to the texts.
inline std::map<std::string, std::uint64_t> odd_noted() {
  return {
      {"entries fewer than manifest.js counts", 1},  // tweets-part1.js
      {"leading @names, cut", 3},                    // 6, 7
      {"links to pictures, dropped", 1},             // 5
      {"long texts joined from note-tweet.js", 1},   // 11
      {"t.co links expanded", 3},                    // 4, 11
      {"t.co links that lead nowhere, dropped", 1},  // 14
  };
}

}  // namespace bobby::data::testing
