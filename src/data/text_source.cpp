#include <fmt/format.h>

#include "data/byte_stream.h"
#include "data/lines.h"
#include "data/plain_sources.h"

namespace bobby::data {
namespace {

constexpr std::size_t kMostPostBytes = std::size_t{1} << 20;

class TextSource final : public PostSource {
 public:
  TextSource(std::filesystem::path path, TextPosts posts) : path_(std::move(path)), posts_(posts) {}

  Result<void> read(const PostSink& sink, SourceReport& report,
                    const ReadContext& context) override {
    std::error_code error;
    ReadProgress read_progress(context.progress, std::filesystem::file_size(path_, error));
    BOBBY_TRY(auto stream, open_file(path_));
    WatchedStream watched(std::move(stream), read_progress);
    if (auto read = read_posts(watched, sink, report.counts); !read)
      return fail(std::move(read).error().in(path_.string()));
    report.files.push_back(watched.finish(path_.filename().string()));
    return {};
  }

 private:
  Result<void> read_posts(ByteStream& stream, const PostSink& sink, SourceCounts& counts) const {
    LineReader lines(stream, kMostPostBytes);
    std::string text;
    std::uint64_t begin = 0;  // the line on which `text` began
    const auto hand_on = [&]() -> Result<void> {
      if (text.empty()) return {};
      ++counts.read;
      SourcePost post;
      post.text = std::exchange(text, {});
      post.id = fmt::format("line {}", begin);
      return sink(std::move(post));
    };
    for (;;) {
      BOBBY_TRY(const auto line, lines.next());
      if (!line) return hand_on();
      const bool empty = line->find_first_not_of(" \t") == std::string_view::npos;
      if (empty || posts_ == TextPosts::kLines) BOBBY_CHECK(hand_on());
      if (empty) continue;
      if (text.empty())
        begin = lines.number();
      else
        text += '\n';
      text += *line;
      if (text.size() > kMostPostBytes)
        return fail({.code = ErrorCode::kLimit,
                     .where = fmt::format("line {}", begin),
                     .problem = "begins a block that is too long for a post",
                     .expected = fmt::format("at most {} bytes", kMostPostBytes)});
    }
  }

  std::filesystem::path path_;
  TextPosts posts_;
};

}  // namespace

Result<std::unique_ptr<PostSource>> open_text(const std::filesystem::path& path, TextPosts posts) {
  BOBBY_CHECK(open_file(path));
  return std::make_unique<TextSource>(path, posts);
}

}  // namespace bobby::data
