#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "base/progress.h"
#include "base/result.h"
#include "data/post.h"

namespace bobby::data {

/// A file that posts came from, as it was read.
struct SourceFile {
  std::string name;  // within the source: "data/tweets.js"
  std::uint64_t bytes = 0;
  std::string sha256;
};

/// What a source tells of itself besides its posts.
struct SourceReport {
  SourceCounts counts;
  std::vector<SourceFile> files;  // in the order in which they were read
};

/// What a source is lent while it reads.
struct ReadContext {
  const ProgressFn& progress;              // in bytes; empty: no one watches
  std::filesystem::path temporary_folder;  // for files that hold what memory does not
};

/// Where posts come from: an archive, a file, a repository. A new kind is a class of its own and a
/// row in the table of kinds of `bobby data import`.
class PostSource {
 public:
  PostSource() = default;
  virtual ~PostSource() = default;
  PostSource(const PostSource&) = delete;
  PostSource& operator=(const PostSource&) = delete;

  /// Reads everything once, in the same order each time, and hands what may be used to `sink`. The
  /// source counts every entry in `read`, and what it does not hand on in `left_out`; `taken` is
  /// the pipeline's, which leaves out more. Texts are UTF-8. Errors name file and entry.
  virtual Result<void> read(const PostSink& sink, SourceReport& report,
                            const ReadContext& context) = 0;
};

}  // namespace bobby::data
