#include "data/twitter/twitter_archive.h"

#include <fmt/format.h>

#include "data/js_array.h"
#include "data/json_value.h"
#include "data/twitter/archive_files.h"
#include "data/twitter/note_tweets.h"
#include "data/twitter/tweet.h"

namespace bobby::data {
namespace {

// Long texts are cut at 280 characters, or at 140 of three bytes each: one that ends with an
// ellipsis well before that was written so.
constexpr std::size_t kCutFromBytes = 260;

// Twitter's code of a language in BCP 47: three of its are withdrawn ones, and "und", "zxx" and
// those that begin with q say that it could not be told.
std::string language_of(const std::string& code) {
  if (code == "und" || code == "zxx" || code.starts_with('q')) return {};
  if (code == "in") return "id";
  if (code == "iw") return "he";
  return code == "ji" ? "yi" : code;
}

class TwitterArchive final : public PostSource {
 public:
  TwitterArchive(std::filesystem::path path, std::unique_ptr<Archive> archive, TwitterFiles files,
                 TwitterOptions options)
      : path_(std::move(path)),
        archive_(std::move(archive)),
        files_(std::move(files)),
        options_(options) {}

  Result<void> read(const PostSink& sink, SourceReport& report,
                    const ReadContext& context) override {
    BOBBY_TRY(NoteTweets notes, NoteTweets::create(context.temporary_folder));
    std::uint64_t total = 0;
    for (const TwitterFile& file : files_.files) total += file.file.bytes;
    ReadProgress read_progress(context.progress, total);
    Reading reading{sink, report, notes, read_progress};
    for (const TwitterFile& file : files_.files)
      if (auto read = read_file(file, reading); !read)
        return fail(std::move(read).error().in(file.file.name).in(path_.string()));
    if (const std::uint64_t left = notes.left(); left > 0) {
      report.counts.read += left;
      report.counts.leave_out("long text without its tweet", left);
    }
    return {};
  }

 private:
  struct Reading {
    const PostSink& sink;
    SourceReport& report;
    NoteTweets& notes;
    ReadProgress& progress;

    void note(const std::string& what, std::uint64_t count) {
      if (count > 0) report.counts.noted[what] += count;
    }
  };

  Result<void> read_file(const TwitterFile& file, Reading& reading) {
    BOBBY_TRY(auto stream, archive_->open_file(file.file.name));
    WatchedStream watched(std::move(stream), reading.progress);
    JsArrayReader entries(watched);
    BOBBY_TRY(const std::string global, entries.begin());
    BOBBY_CHECK(check_global(file.kind, global));
    JsonReader json;
    for (;;) {
      BOBBY_TRY(const auto text, entries.next());
      if (!text) break;
      auto entry = json.parse(*text);
      if (!entry) return fail(std::move(entry).error().in(entries.place()));
      BOBBY_CHECK(read_entry(file.kind, *entry, reading));
    }
    if (file.promised && *file.promised > entries.count())
      reading.note("entries fewer than manifest.js counts", *file.promised - entries.count());
    reading.report.files.push_back(watched.finish(file.file.name));
    return {};
  }

  Result<void> read_entry(TwitterFileKind kind, simdjson::dom::element entry, Reading& reading) {
    if (kind == TwitterFileKind::kNoteTweets) {
      NoteTweet note;
      return read_note_tweet(entry, note) ? reading.notes.add(note) : Result<void>();
    }
    SourceCounts& counts = reading.report.counts;
    ++counts.read;
    Tweet tweet;
    if (!read_tweet(entry, tweet)) {
      counts.leave_out("without text");
      return {};
    }
    if (kind_of(tweet.text) != TweetKind::kPost) {
      counts.leave_out(kind_of(tweet.text) == TweetKind::kRetweet
                           ? "retweet"
                           : "holds somebody else's words (RT @ within the text)");
      return {};
    }
    BOBBY_TRY(const auto note, reading.notes.take(tweet));
    if (kind == TwitterFileKind::kDeletedTweets && !options_.deleted) {
      counts.leave_out("deleted by its writer");
      return {};
    }
    if (!note && tweet.text.size() >= kCutFromBytes && ends_cut(tweet.text)) {
      counts.leave_out("cut short, and its whole text is not in the archive");
      return {};
    }
    return hand_on(tweet, note, reading);
  }

  Result<void> hand_on(const Tweet& tweet, const std::optional<NoteTweet>& note,
                       Reading& reading) const {
    TweetWords words = note ? words_of(tweet, *note) : words_of(tweet);
    if (words.text.empty()) {
      reading.report.counts.leave_out("a picture or a link, without words");
      return {};
    }
    reading.note("long texts joined from note-tweet.js", note ? 1 : 0);
    reading.note("t.co links expanded", words.links);
    reading.note("t.co links that lead nowhere, dropped", words.dead_links);
    reading.note("links to pictures, dropped", words.media);
    reading.note("leading @names, cut", words.mentions);
    SourcePost post;
    post.text = std::move(words.text);
    post.id = tweet.id;
    post.time = tweet.time;
    post.language = language_of(tweet.language);
    post.reply = tweet.is_reply() && tweet.reply_to_user != files_.account;
    post.quote = words.quote;
    return reading.sink(std::move(post));
  }

  std::filesystem::path path_;
  std::unique_ptr<Archive> archive_;
  TwitterFiles files_;
  TwitterOptions options_;
};

}  // namespace

Result<std::unique_ptr<PostSource>> open_twitter_archive(const std::filesystem::path& path,
                                                         const TwitterOptions& options) {
  BOBBY_TRY(auto archive, Archive::open(path, ".js"));
  auto files = find_twitter_files(*archive);
  if (!files) return fail(std::move(files).error().in(path.string()));
  return std::make_unique<TwitterArchive>(path, std::move(archive), *std::move(files), options);
}

}  // namespace bobby::data
