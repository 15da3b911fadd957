#include "data/twitter/tweet.h"

#include <algorithm>
#include <array>
#include <functional>

#include "data/json_value.h"
#include "data/moments.h"
#include "voice/links.h"

namespace bobby::data {
namespace {

using Element = simdjson::dom::element;

constexpr std::string_view kEllipsis = "\u2026";
constexpr std::size_t kMostLinks = 256;

bool is_space(char c) {
  return c == ' ' || c == '\n' || c == '\t' || c == '\r';
}
bool is_name(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

void read_links(std::optional<Element> list, std::string_view from, std::string_view to,
                std::vector<std::pair<std::string, std::string>>& links) {
  simdjson::dom::array entries;
  if (!list || list->get(entries)) return;
  for (const Element entry : entries) {
    if (links.size() >= kMostLinks) return;
    std::string address = text_of(entry, from);
    if (!address.empty()) links.emplace_back(std::move(address), text_of(entry, to));
  }
}

void read_media(std::optional<Element> entities, std::vector<std::string>& media) {
  std::vector<std::pair<std::string, std::string>> found;
  if (entities) read_links(member(*entities, "media"), "url", "media_url", found);
  for (auto& [address, target] : found) media.push_back(std::move(address));
}

// Twitter escapes these three and no others.
std::string decode_entities(std::string_view text) {
  struct Entity {
    std::string_view name;
    char character;
  };
  constexpr std::array<Entity, 3> kEntities = {{{"&amp;", '&'}, {"&lt;", '<'}, {"&gt;", '>'}}};
  std::string out;
  while (!text.empty()) {
    const auto entity = std::ranges::find_if(
        kEntities, [&](const Entity& candidate) { return text.starts_with(candidate.name); });
    const bool found = entity != kEntities.end();
    out += found ? entity->character : text.front();
    text.remove_prefix(found ? entity->name.size() : 1);
  }
  return out;
}

// Byte where code point `count` of `text` begins.
std::size_t byte_of(std::string_view text, std::int64_t count) {
  std::size_t at = 0;
  for (; at < text.size() && count > 0; --count) do
      ++at;
    while (at < text.size() && (static_cast<unsigned char>(text[at]) & 0xC0) == 0x80);
  return at;
}

// How long the "@name " at the beginning of `text` is; 0: there is none.
std::size_t leading_name(std::string_view text) {
  std::size_t begin = 0;
  while (begin < text.size() && is_space(text[begin])) ++begin;
  if (begin == text.size() || text[begin] != '@') return 0;
  std::size_t end = begin + 1;
  while (end < text.size() && is_name(text[end])) ++end;
  if (end == begin + 1) return 0;
  if (end < text.size() && !is_space(text[end])) return 0;
  while (end < text.size() && is_space(text[end])) ++end;
  return end;
}

std::string_view without_leading_names(std::string_view text, std::uint64_t& count) {
  while (const std::size_t length = leading_name(text)) {
    text.remove_prefix(length);
    ++count;
  }
  return text;
}

bool is_of_a_post(std::string_view address) {
  const std::size_t host = address.find("://");
  if (host == std::string_view::npos) return false;
  address.remove_prefix(host + 3);
  for (const std::string_view prefix : {"www.", "mobile."})
    if (address.starts_with(prefix)) address.remove_prefix(prefix.size());
  return (address.starts_with("twitter.com/") || address.starts_with("x.com/")) &&
         address.find("/status/") != std::string_view::npos;
}

bool is_short(std::string_view address) {
  const std::size_t host = address.find("://");
  return host != std::string_view::npos && address.substr(host + 3).starts_with("t.co/");
}

// Expands, leaves out and counts the links of a text.
class LinkResolver {
 public:
  LinkResolver(const Tweet& tweet, const NoteTweet* note, TweetWords& words)
      : tweet_(tweet), note_(note), words_(words) {}

  std::string operator()(std::string_view address) {
    if (std::ranges::find(tweet_.media, address) != tweet_.media.end()) {
      ++words_.media;
      return {};
    }
    quote_ = {};
    std::string target = target_of(address);
    if (target.empty() && is_short(address)) {
      ++words_.dead_links;
      return {};
    }
    if (target.empty()) target = address;
    ++words_.links;
    if (is_of_a_post(target)) quote_ = target;
    return target;
  }

  /// The target of the last link, where that is a post.
  const std::string& quote() const { return quote_; }

 private:
  std::string target_of(std::string_view address) const {
    for (const auto* links : {&tweet_.links, note_ == nullptr ? nullptr : &note_->links})
      if (links != nullptr)
        for (const auto& [from, to] : *links)
          if (from == address) return to;
    return {};
  }

  const Tweet& tweet_;
  const NoteTweet* note_;
  TweetWords& words_;
  std::string quote_;
};

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && is_space(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_space(text.back())) text.remove_suffix(1);
  return text;
}

void finish_words(std::string_view text, const Tweet& tweet, const NoteTweet* note,
                  TweetWords& words) {
  if (tweet.is_reply()) text = without_leading_names(text, words.mentions);
  LinkResolver resolver(tweet, note, words);
  words.text = replace_links(decode_entities(text), std::ref(resolver));
  words.text = std::string(trimmed(words.text));
  // The post that this one quotes is shown below it; its address is no part of what was said.
  if (!resolver.quote().empty() && words.text.ends_with(resolver.quote())) {
    words.quote = true;
    --words.links;
    words.text.resize(words.text.size() - resolver.quote().size());
    words.text = std::string(trimmed(words.text));
  }
}

}  // namespace

bool read_tweet(Element entry, Tweet& tweet) {
  const Element object = member(entry, "tweet").value_or(entry);
  tweet = {};
  tweet.text = text_of(object, "full_text");
  if (tweet.text.empty()) tweet.text = text_of(object, "text");
  if (trimmed(tweet.text).empty()) return false;
  tweet.id = text_of(object, "id_str");
  if (tweet.id.empty()) tweet.id = text_of(object, "id");
  tweet.time = parse_tweet_time(text_of(object, "created_at")).value_or(0);
  tweet.language = text_of(object, "lang");
  for (const std::string_view key :
       {"in_reply_to_user_id_str", "in_reply_to_user_id", "in_reply_to_screen_name",
        "in_reply_to_status_id_str", "in_reply_to_status_id"})
    if (tweet.reply_to_user.empty()) tweet.reply_to_user = text_of(object, key);
  simdjson::dom::array range;
  if (const auto list = member(object, "display_text_range"); list && !list->get(range))
    if (simdjson::dom::element first; !range.at(0).get(first))
      tweet.display_begin = std::max<std::int64_t>(0, count_of(first));
  const auto entities = member(object, "entities");
  if (entities) read_links(member(*entities, "urls"), "url", "expanded_url", tweet.links);
  read_media(entities, tweet.media);
  read_media(member(object, "extended_entities"), tweet.media);
  return true;
}

bool read_note_tweet(Element entry, NoteTweet& note) {
  const Element object = member(entry, "noteTweet").value_or(entry);
  note = {};
  note.id = text_of(object, "noteTweetId");
  note.time = parse_iso_time(text_of(object, "createdAt")).value_or(0);
  const auto core = member(object, "core");
  if (!core) return false;
  note.text = text_of(*core, "text");
  read_links(member(*core, "urls"), "shortUrl", "expandedUrl", note.links);
  return !trimmed(note.text).empty();
}

TweetKind kind_of(std::string_view text) {
  if (text.starts_with("RT @")) return TweetKind::kRetweet;
  for (const std::string_view sign : {"RT @", "MT @", "RT: @"})
    for (std::size_t at = text.find(sign); at != std::string_view::npos;
         at = text.find(sign, at + 1)) {
      const bool apart = at == 0 || !is_name(text[at - 1]);
      const std::size_t name = at + sign.size();
      if (apart && name < text.size() && is_name(text[name])) return TweetKind::kHandMadeRetweet;
    }
  return TweetKind::kPost;
}

TweetWords words_of(const Tweet& tweet) {
  TweetWords words;
  std::string_view text = tweet.text;
  // What the range cuts must be names: an index that is off would cut words.
  const std::size_t begin = byte_of(text, tweet.display_begin);
  std::uint64_t names = 0;
  if (without_leading_names(text.substr(0, begin), names).empty()) {
    text.remove_prefix(begin);
    words.mentions = names;
  }
  finish_words(text, tweet, nullptr, words);
  return words;
}

TweetWords words_of(const Tweet& tweet, const NoteTweet& note) {
  TweetWords words;
  finish_words(note.text, tweet, &note, words);
  return words;
}

bool ends_cut(std::string_view text) {
  const std::string plain = without_links(text);
  return trimmed(plain).ends_with(kEllipsis);
}

std::string comparable(std::string_view text) {
  std::uint64_t names = 0;
  const std::string plain = without_links(decode_entities(without_leading_names(text, names)));
  std::string_view rest = trimmed(plain);
  if (rest.ends_with(kEllipsis)) rest.remove_suffix(kEllipsis.size());
  std::string out;
  for (const char c : trimmed(rest)) {
    if (is_space(c) && out.ends_with(' ')) continue;
    out += is_space(c) ? ' ' : c;
  }
  return out;
}

}  // namespace bobby::data
