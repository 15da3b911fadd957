#include "data/twitter/note_tweets.h"

#include <nlohmann/json.hpp>

namespace bobby::data {
namespace {

// A tweet's second and its note's may be told by two clocks.
constexpr std::int64_t kSecondsApart = 2;
// A beginning that is shorter is no evidence.
constexpr std::size_t kLeastBeginning = 8;
// Among so many of one moment the right one is looked for.
constexpr int kMostCandidates = 64;

}  // namespace

Result<NoteTweets> NoteTweets::create(const std::filesystem::path& folder) {
  BOBBY_TRY(RecordSpool spool, RecordSpool::create(folder));
  return NoteTweets(std::move(spool));
}

Result<void> NoteTweets::add(const NoteTweet& note) {
  const std::size_t index = spool_.size();
  const nlohmann::json record = {note.id, note.time, note.text, note.links};
  BOBBY_CHECK(spool_.append(record.dump()));
  by_id_.insert_or_assign(note.id.empty() ? "#" + std::to_string(index) : note.id, index);
  if (note.time != 0) by_time_.emplace(note.time, index);
  return {};
}

Result<std::optional<NoteTweet>> NoteTweets::if_same(std::size_t index,
                                                     const std::string& beginning) {
  BOBBY_TRY(const std::string record, spool_.read(index));
  const auto fields = nlohmann::json::parse(record);  // written by add()
  NoteTweet note;
  fields[0].get_to(note.id);
  fields[1].get_to(note.time);
  fields[2].get_to(note.text);
  fields[3].get_to(note.links);
  if (beginning.size() < kLeastBeginning || !comparable(note.text).starts_with(beginning))
    return std::nullopt;
  return note;
}

Result<std::optional<NoteTweet>> NoteTweets::take(const Tweet& tweet) {
  if (by_id_.empty()) return std::nullopt;
  const std::string beginning = comparable(tweet.text);
  const auto forget = [&](const NoteTweet& note, std::size_t index) {
    by_id_.erase(note.id.empty() ? "#" + std::to_string(index) : note.id);
  };
  if (const auto same = by_id_.find(tweet.id); same != by_id_.end()) {
    const std::size_t index = same->second;
    BOBBY_TRY(auto note, if_same(index, beginning));
    if (note) {
      forget(*note, index);
      std::erase_if(by_time_, [&](const auto& entry) { return entry.second == index; });
      return note;
    }
  }
  int candidates = 0;
  const auto end = by_time_.upper_bound(tweet.time + kSecondsApart);
  for (auto at = by_time_.lower_bound(tweet.time - kSecondsApart);
       at != end && ++candidates <= kMostCandidates; ++at) {
    BOBBY_TRY(auto note, if_same(at->second, beginning));
    if (!note) continue;
    forget(*note, at->second);
    by_time_.erase(at);
    return note;
  }
  return std::nullopt;
}

}  // namespace bobby::data
