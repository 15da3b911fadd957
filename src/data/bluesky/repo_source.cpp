#include "data/bluesky/repo_source.h"

#include <fmt/format.h>
#include <utility>

#include "base/sha256.h"
#include "data/bluesky/car_file.h"
#include "data/bluesky/dag_cbor.h"
#include "data/bluesky/post_record.h"
#include "data/bluesky/repo_tree.h"

namespace bobby::data {
namespace {

// How many reasons a file may name by its collections; what comes after counts together.
constexpr std::size_t kMostCollections = 64;

void count_other(SourceCounts& counts, std::string_view collection) {
  ++counts.read;
  std::string reason = collection == "app.bsky.feed.repost"
                           ? "a repost"
                           : fmt::format("a record of {}, not a post", collection);
  if (counts.left_out.size() >= kMostCollections && !counts.left_out.contains(reason))
    reason = "a record of another collection, not a post";
  counts.leave_out(reason);
}

class Reading {
 public:
  Reading(CarFile& car, const Commit& commit, const PostSink& sink, SourceCounts& counts)
      : car_(car), counts_(counts), posts_(commit.did, counts, sink) {}

  Result<void> record(std::string_view key, const Cid& cid) {
    const std::size_t slash = key.find('/');
    if (key.substr(0, slash) != kPostCollection) {
      count_other(counts_, key.substr(0, slash));
      return {};
    }
    auto block = car_.block(cid);
    if (!block && block.error().code == ErrorCode::kNotFound)
      return fail({.code = ErrorCode::kNotFound,
                   .where = fmt::format("record {}", key),
                   .problem = "its block is not in the file"});
    if (!block) return fail(std::move(block).error());
    auto value = decode_dag_cbor(*block);
    if (!value) return fail(std::move(value).error().in(fmt::format("record {}", key)));
    return posts_.take(key.substr(slash + 1), *value);
  }

 private:
  CarFile& car_;
  SourceCounts& counts_;
  PostRecords posts_;
};

class RepoSource final : public PostSource {
 public:
  explicit RepoSource(std::filesystem::path file) : file_(std::move(file)) {}

  Result<void> read(const PostSink& sink, SourceReport& report,
                    const ReadContext& context) override {
    // An error of the sink is its own; one of the file is told with the file's name.
    bool sink_failed = false;
    const PostSink watched = [&](SourcePost post) {
      auto taken = sink(std::move(post));
      sink_failed = !taken;
      return taken;
    };
    auto done = read_repo(watched, report, context.progress);
    if (done || sink_failed) return done;
    Error error = std::move(done).error();
    if (error.code == ErrorCode::kNotFound && error.hint.empty())
      error.hint = "export the whole repository, not the part since a revision";
    return fail(std::move(error).in(file_.string()));
  }

 private:
  Result<void> read_repo(const PostSink& sink, SourceReport& report,
                         const ProgressFn& progress) const {
    BOBBY_TRY(CarFile car, CarFile::open(file_, progress));
    BOBBY_TRY(const Bytes commit_block, car.block(car.root()));
    auto commit = read_commit(commit_block);
    if (!commit)
      return fail(std::move(commit).error().in(fmt::format("commit {}", car.root().to_string())));
    BOBBY_TRY(std::string digest, sha256_file(file_));
    report.files.push_back(
        {.name = file_.filename().string(), .bytes = car.size(), .sha256 = std::move(digest)});
    Reading reading(car, *commit, sink, report.counts);
    return walk_records(
        commit->tree, [&](const Cid& cid) { return car.block(cid); },
        [&](std::string_view key, const Cid& cid) {
          // The watcher may also want the work to stop.
          constexpr std::uint64_t kTellEvery = 4096;
          if (progress && report.counts.read % kTellEvery == 0)
            progress({.phase = "read", .done = car.size(), .total = car.size()});
          return reading.record(key, cid);
        });
  }

  std::filesystem::path file_;
};

}  // namespace

Result<std::unique_ptr<PostSource>> open_bluesky_repo(const std::filesystem::path& path) {
  std::error_code code;
  if (!std::filesystem::exists(path, code))
    return fail({.code = ErrorCode::kNotFound, .where = path.string(), .problem = "no such file"});
  return std::make_unique<RepoSource>(path);
}

}  // namespace bobby::data
