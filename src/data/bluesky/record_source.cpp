#include "data/bluesky/record_source.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <utility>

#include "data/bluesky/post_record.h"

namespace bobby::data {
namespace {

tl::unexpected<Error> malformed(std::string_view uri, std::string_view what) {
  constexpr std::size_t kShown = 200;
  return fail({.code = ErrorCode::kMalformed,
               .where = fmt::format("record {}", uri.substr(0, kShown)),
               .problem = std::string(what)});
}

class RecordSource final : public PostSource {
 public:
  RecordSource(std::string did, RecordLister list) : did_(std::move(did)), list_(std::move(list)) {}

  Result<void> read(const PostSink& sink, SourceReport& report,
                    const ReadContext& context) override {
    PostRecords posts(did_, report.counts, sink);
    const std::string prefix = fmt::format("at://{}/{}/", did_, kPostCollection);
    std::string last;
    return list_(
        [&](std::string_view uri, std::string_view value) -> Result<void> {
          if (!uri.starts_with(prefix)) return malformed(uri, "is not a post of this account");
          std::string key(uri.substr(prefix.size()));
          if (key <= last) return malformed(uri, "is out of order, or listed twice");
          const nlohmann::json record = nlohmann::json::parse(value, nullptr, false);
          if (!record.is_object()) return malformed(uri, "is no JSON object");
          last = std::move(key);
          return posts.take(last, record);
        },
        context.progress);
  }

 private:
  std::string did_;
  RecordLister list_;
};

}  // namespace

std::unique_ptr<PostSource> listed_bluesky_posts(std::string did, RecordLister list) {
  return std::make_unique<RecordSource>(std::move(did), std::move(list));
}

}  // namespace bobby::data
