#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "hub/cache/hub_name.h"

namespace bobby::hub {

/// What a cache says of a file at a commit.
enum class Cached : std::uint8_t {
  kHere,
  kAbsent,   ///< the hub was asked, and has no such file
  kUnknown,  ///< nobody asked yet
};

/// One repository in the cache, laid out as the hub's own library does it:
///   models--ORG--NAME/blobs/HASH                  what files hold; HASH.incomplete while it comes
///   models--ORG--NAME/snapshots/COMMIT/PATH       relative links to blobs, or the files themselves
///   models--ORG--NAME/refs/REVISION               the commit that a branch or tag stands for
///   models--ORG--NAME/.no_exist/COMMIT/PATH       empty: the commit has no such file
///   .locks/models--ORG--NAME/HASH.lock            held while HASH comes
class CachedRepository {
 public:
  CachedRepository(const std::filesystem::path& cache, const HubName& name);

  const std::filesystem::path& folder() const { return folder_; }
  const std::filesystem::path& locks() const { return locks_; }
  std::filesystem::path blob(std::string_view etag) const { return folder_ / "blobs" / etag; }
  std::filesystem::path incomplete(std::string_view etag) const;
  std::filesystem::path lock(std::string_view etag) const;
  std::filesystem::path snapshot(std::string_view commit) const;
  std::filesystem::path pointer(std::string_view commit, std::string_view path) const;

  /// The commit of a revision: the revision itself when it is one, else what refs say, else a
  /// snapshot of that very name.
  std::optional<std::string> commit_of(std::string_view revision) const;
  /// Snapshot before .no_exist.
  Cached look_up(std::string_view commit, std::string_view path) const;

  /// Notes what a branch or tag stands for; nothing for a commit. kIo.
  Result<void> write_ref(std::string_view revision, std::string_view commit) const;
  /// Notes that the commit has no such file; a cache that may not be written stays as it is.
  void note_absent(std::string_view commit, std::string_view path) const;

  /// Makes blobs/ and the folder of `pointer`, and marks the cache as one. kIo.
  Result<void> make_folders(const std::filesystem::path& pointer) const;
  /// Makes `pointer` lead to a blob that is whole: by a relative link, in one step; where there can
  /// be none, `may_move` says whether the blob may become the file, or it is copied. kIo.
  Result<void> link(std::string_view etag, const std::filesystem::path& pointer, bool symlinks,
                    bool may_move) const;

 private:
  std::filesystem::path cache_;
  std::filesystem::path folder_;
  std::filesystem::path locks_;
};

/// "models--ORG--NAME"
std::string folder_name(const HubName& name);

/// The ETag of an answer as a blob's name: without quotes and the mark of a weak one. None for what
/// cannot be a file's name.
std::optional<std::string> normalized_etag(std::string_view etag);

/// Eight random hex digits, for names that nobody else has.
std::string random_suffix();

}  // namespace bobby::hub
