#pragma once

#include <filesystem>
#include <memory>

#include "base/result.h"
#include "data/source.h"

namespace bobby::data {

/// How a Twitter archive is read.
struct TwitterOptions {
  bool deleted = false;  ///< also what the person has deleted, where the archive still holds it
};

/// Posts of a Twitter archive, a folder or its .zip file as it was downloaded. Which files are read
/// stands in twitter/archive_files.h, what becomes of a text in twitter/tweet.h.
Result<std::unique_ptr<PostSource>> open_twitter_archive(const std::filesystem::path& path,
                                                         const TwitterOptions& options);

}  // namespace bobby::data
