// A file of a Twitter archive, cut into blocks of a size that its first byte tells: whatever its
// bytes are, it is read to its end or to an error, and what it holds becomes words. Seeds: the
// files that tests/unit/data/odd_archive.h makes.

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>

#include "data/filters.h"
#include "data/js_array.h"
#include "data/json_value.h"
#include "data/lines.h"
#include "data/twitter/tweet.h"
#include "voice/shingles.h"

namespace {

using namespace bobby::data;

class Bytes final : public ByteStream {
 public:
  Bytes(std::string_view bytes, std::size_t block) : rest_(bytes), block_(block) {}
  bobby::Result<std::size_t> read(std::span<char> into) override {
    const std::size_t count = std::min({block_, rest_.size(), into.size()});
    std::memcpy(into.data(), rest_.data(), count);
    rest_.remove_prefix(count);
    return count;
  }

 private:
  std::string_view rest_;
  std::size_t block_;
};

void use(std::string text) {
  SourcePost post;
  post.text = std::move(text);
  std::uint64_t links = 0;
  FilterOptions options;
  options.min_chars = 0;
  static const PostFilter filter(options);
  if (filter.apply(post, links)) return;
  if (post.text.empty()) std::abort();
  if (const auto set = shingles(post.text); !set.empty()) min_hash_bands(set);
}

bool use_entry(simdjson::dom::element entry) {
  Tweet tweet;
  NoteTweet note;
  const bool is_tweet = read_tweet(entry, tweet);
  if (is_tweet) {
    kind_of(tweet.text);
    ends_cut(tweet.text);
    if (comparable(tweet.text).size() > tweet.text.size()) std::abort();
    use(words_of(tweet).text);
  }
  if (read_note_tweet(entry, note)) use(words_of(tweet, note).text);
  return is_tweet;
}

void read_array(std::string_view bytes, std::size_t block) {
  Bytes stream(bytes, block);
  JsArrayReader reader(stream);
  if (!reader.begin()) return;
  JsonReader json;
  std::size_t total = 0;
  for (;;) {
    const auto object = reader.next();
    if (!object || !*object) break;
    total += (*object)->size();
    if (const auto element = json.parse(**object)) use_entry(*element);
  }
  if (total > bytes.size()) std::abort();
}

void read_lines(std::string_view bytes, std::size_t block) {
  Bytes stream(bytes, block);
  LineReader reader(stream, 100);
  for (;;) {
    const auto line = reader.next();
    if (!line || !*line) break;
    if ((*line)->size() > 100) std::abort();
    use(std::string(**line));
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  read_array(bytes, std::size_t{data[0]} + 1);
  read_lines(bytes, std::size_t{data[0]} + 1);
  return 0;
}
