#include "hub/cache/cache_layout.h"

#include <algorithm>
#include <fmt/format.h>
#include <fstream>
#include <random>
#include <system_error>

namespace bobby::hub {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kLongestBlobName = 200;  // with ".incomplete" a file's name still

tl::unexpected<Error> io_error(const fs::path& path, std::string_view what,
                               const std::error_code& error) {
  return fail({.code = ErrorCode::kIo,
               .where = path.string(),
               .problem = fmt::format("{}: {}", what, error.message())});
}

// The signature makes programs that back things up leave the cache out. Byte for byte what the
// hub's own library writes, whose cache it is.
constexpr std::string_view kCacheTag =
    "Signature: 8a477f597d28d172789f06886806bc55\n"
    "# This file is a cache directory tag created by huggingface_hub.\n"
    "# For information about cache directory tags, see:\n"
    "#\thttps://bford.info/cachedir/\n";

void tag_cache(const fs::path& cache) {
  std::error_code ignored;
  if (!fs::exists(cache / "CACHEDIR.TAG", ignored))
    std::ofstream(cache / "CACHEDIR.TAG", std::ios::binary) << kCacheTag;
}

bool is_plain_part(std::string_view text) {
  return is_safe_path(text) && text.find('/') == std::string_view::npos;
}

}  // namespace

std::string folder_name(const HubName& name) {
  return fmt::format("models--{}--{}", name.organisation, name.name);
}

std::optional<std::string> normalized_etag(std::string_view etag) {
  if (etag.starts_with("W/")) etag.remove_prefix(2);
  if (etag.size() >= 2 && etag.front() == '"' && etag.back() == '"')
    etag = etag.substr(1, etag.size() - 2);
  if (!is_plain_part(etag) || etag.size() > kLongestBlobName) return std::nullopt;
  return std::string(etag);
}

std::string random_suffix() {
  return fmt::format("{:08x}", std::random_device{}());
}

CachedRepository::CachedRepository(const fs::path& cache, const HubName& name)
    : cache_(cache),
      folder_(cache / folder_name(name)),
      locks_(cache / ".locks" / folder_name(name)) {}

fs::path CachedRepository::incomplete(std::string_view etag) const {
  return folder_ / "blobs" / fmt::format("{}.incomplete", etag);
}

fs::path CachedRepository::lock(std::string_view etag) const {
  return locks_ / fmt::format("{}.lock", etag);
}

fs::path CachedRepository::snapshot(std::string_view commit) const {
  return folder_ / "snapshots" / commit;
}

fs::path CachedRepository::pointer(std::string_view commit, std::string_view path) const {
  return snapshot(commit) / path;
}

std::optional<std::string> CachedRepository::commit_of(std::string_view revision) const {
  if (is_commit(revision)) return std::string(revision);
  std::string commit;
  std::ifstream(folder_ / "refs" / revision) >> commit;
  if (!commit.empty() && is_plain_part(commit)) return commit;
  std::error_code status;
  if (is_plain_part(revision) && fs::is_directory(snapshot(revision), status))
    return std::string(revision);
  return std::nullopt;
}

Cached CachedRepository::look_up(std::string_view commit, std::string_view path) const {
  std::error_code status;
  if (fs::exists(pointer(commit, path), status)) return Cached::kHere;
  if (fs::exists(folder_ / ".no_exist" / commit / path, status)) return Cached::kAbsent;
  return Cached::kUnknown;
}

Result<void> CachedRepository::write_ref(std::string_view revision, std::string_view commit) const {
  if (revision == commit) return {};
  const fs::path file = folder_ / "refs" / revision;
  std::string noted;
  std::ifstream(file) >> noted;
  if (noted == commit) return {};
  std::error_code error;
  fs::create_directories(file.parent_path(), error);
  if (error) return io_error(file, "cannot be made", error);
  // Not in refs/, where others take every file for a ref, also one that a kill left behind.
  const fs::path partial = folder_ / fmt::format(".ref.{}.tmp", random_suffix());
  std::ofstream stream(partial, std::ios::binary);
  stream << commit;
  stream.close();
  if (stream) fs::rename(partial, file, error);
  if (!stream || error) {
    std::error_code ignored;
    fs::remove(partial, ignored);
    return fail({.code = ErrorCode::kIo, .where = file.string(), .problem = "cannot be written"});
  }
  return {};
}

void CachedRepository::note_absent(std::string_view commit, std::string_view path) const {
  const fs::path file = folder_ / ".no_exist" / commit / path;
  std::error_code ignored;
  if (fs::exists(file, ignored)) return;
  fs::create_directories(file.parent_path(), ignored);
  std::ofstream stream(file, std::ios::binary);
}

Result<void> CachedRepository::make_folders(const fs::path& pointer) const {
  std::error_code error;
  for (const fs::path& folder : {folder_ / "blobs", pointer.parent_path()}) {
    fs::create_directories(folder, error);
    if (error) return io_error(folder, "cannot be made", error);
  }
  tag_cache(cache_);
  return {};
}

Result<void> CachedRepository::link(std::string_view etag, const fs::path& pointer, bool symlinks,
                                    bool may_move) const {
  std::error_code error;
  if (symlinks) {
    const fs::path target = fs::path(blob(etag)).lexically_relative(pointer.parent_path());
    fs::create_symlink(target, pointer, error);  // in one step
    if (error == std::errc::file_exists) {
      fs::remove(pointer, error);  // a link that led nowhere
      fs::create_symlink(target, pointer, error);
    }
    if (!error) return {};
    error.clear();
  }
  if (may_move) {
    fs::rename(blob(etag), pointer, error);
  } else {
    const fs::path partial = incomplete(fmt::format("{}.{}", etag, random_suffix()));
    fs::copy_file(blob(etag), partial, error);
    if (!error) fs::rename(partial, pointer, error);
    std::error_code ignored;
    if (error) fs::remove(partial, ignored);
  }
  if (error) return io_error(pointer, "cannot be made", error);
  return {};
}

}  // namespace bobby::hub
