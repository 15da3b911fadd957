#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "http/backoff.h"
#include "hub/cache/file_choice.h"
#include "hub/cache/hub_name.h"

namespace bobby::hub {

/// A snapshot in the cache.
struct CachedRevision {
  std::string commit;
  std::vector<std::string> refs = {};  ///< branches and tags that stand for it, sorted
  std::filesystem::path folder;
  Content content =
      Content::kAny;  ///< kModel or kAdapter, by its files; kAny: neither, or not whole
  std::size_t files = 0;
  std::uint64_t bytes = 0;  ///< of its files; other revisions may share them
};

/// A repository in the cache.
struct CachedModel {
  std::string name;  ///< ORG/NAME
  std::vector<CachedRevision> revisions = {};
  std::uint64_t bytes = 0;       ///< on the disk, shared ones once
  std::uint64_t incomplete = 0;  ///< of them, bytes of files that are not whole yet
};

/// Every model repository in the cache, by name; what is none is passed over.
std::vector<CachedModel> list_cached(const std::filesystem::path& cache);

struct Removed {
  std::uint64_t bytes = 0;
  std::size_t revisions = 0;
};

/// Removes a repository from the cache, or of it the one revision that `name` says, with what no
/// other revision shares. Links are removed, never what they lead to. kNotFound: it is not there;
/// kBusy: it is being downloaded; kIo.
Result<Removed> remove_cached(const std::filesystem::path& cache, const HubName& name,
                              bool whole_repository);

/// What was looked at.
struct Verified {
  std::filesystem::path folder;
  std::size_t files = 0;
  std::uint64_t bytes = 0;
  std::vector<std::string> unnamed = {};  ///< files that are no links, so nothing says their hash
  std::vector<Error> problems = {};       ///< wrong bytes, links that lead nowhere
};

/// Told which file is read.
using VerifyWatch = std::function<void(std::string_view file)>;

/// Reads every file of the snapshot that `name` says, and compares it with the hash that its blob
/// is named by. kNotFound: it is not in the cache.
Result<Verified> verify_cached(const std::filesystem::path& cache, const HubName& name,
                               const VerifyWatch& watch);

}  // namespace bobby::hub
