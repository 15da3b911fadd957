#include "hub/cache/cached_repositories.h"

#include <algorithm>
#include <fmt/format.h>
#include <fstream>
#include <map>
#include <set>
#include <system_error>

#include "hub/cache/cache_layout.h"
#include "hub/cache/content_hash.h"
#include "hub/cache/file_lock.h"
#include "hub/cache/pull.h"

namespace bobby::hub {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kPrefix = "models--";
constexpr std::string_view kIncomplete = ".incomplete";

// What is under a folder, links not followed; nothing when it cannot be read.
std::vector<fs::path> files_under(const fs::path& folder) {
  std::vector<fs::path> files;
  std::error_code error;
  for (fs::recursive_directory_iterator entry(folder, error), end; !error && entry != end;
       entry.increment(error))
    if (!fs::is_directory(entry->symlink_status())) files.push_back(entry->path());
  std::ranges::sort(files);
  return files;
}

std::vector<fs::path> folders_in(const fs::path& folder) {
  std::vector<fs::path> folders;
  std::error_code error;
  for (fs::directory_iterator entry(folder, error), end; !error && entry != end;
       entry.increment(error))
    if (fs::is_directory(entry->symlink_status())) folders.push_back(entry->path());
  std::ranges::sort(folders);
  return folders;
}

// models--ORG--NAME
std::optional<HubName> name_of_folder(std::string_view folder) {
  if (!folder.starts_with(kPrefix)) return std::nullopt;
  folder.remove_prefix(kPrefix.size());
  const auto dashes = folder.find("--");
  if (dashes == std::string_view::npos) return std::nullopt;
  return parse_hub_name(fmt::format("{}/{}", folder.substr(0, dashes), folder.substr(dashes + 2)));
}

// Each commit's branches and tags.
std::map<std::string, std::vector<std::string>> refs_of(const fs::path& repository) {
  std::map<std::string, std::vector<std::string>> refs;
  for (const fs::path& file : files_under(repository / "refs")) {
    std::string commit;
    std::ifstream(file) >> commit;
    refs[commit].push_back(file.lexically_relative(repository / "refs").string());
  }
  return refs;
}

std::uint64_t size_of(const fs::path& file) {
  std::error_code error;
  const std::uintmax_t size = fs::file_size(file, error);
  return error ? 0 : size;
}

Content content_of(const HubName& name, const std::string& commit, const fs::path& cache) {
  const HubName at{name.organisation, name.name, commit};
  for (const Content content : {Content::kModel, Content::kAdapter})
    if (find_whole(at, content, cache)) return content;
  return Content::kAny;
}

CachedModel look_at(const HubName& name, const fs::path& cache) {
  const fs::path folder = CachedRepository(cache, name).folder();
  CachedModel model{.name = name.repository()};
  const auto refs = refs_of(folder);
  std::error_code status;
  for (const fs::path& snapshot : folders_in(folder / "snapshots")) {
    CachedRevision revision{.commit = snapshot.filename().string(), .folder = snapshot};
    if (const auto found = refs.find(revision.commit); found != refs.end())
      revision.refs = found->second;
    for (const fs::path& file : files_under(snapshot)) {
      ++revision.files;
      revision.bytes += size_of(file);
      // A copy where there can be no links.
      if (fs::is_regular_file(fs::symlink_status(file, status))) model.bytes += size_of(file);
    }
    revision.content = content_of(name, revision.commit, cache);
    model.revisions.push_back(std::move(revision));
  }
  for (const fs::path& blob : files_under(folder / "blobs")) {
    model.bytes += size_of(blob);
    if (blob.string().ends_with(kIncomplete)) model.incomplete += size_of(blob);
  }
  return model;
}

tl::unexpected<Error> not_cached(const fs::path& cache, const HubName& name, bool whole) {
  return fail({.code = ErrorCode::kNotFound,
               .where = whole ? name.repository() : name.text(),
               .problem = fmt::format("is not in the Hugging Face cache ({})", cache.string()),
               .hint = "`bobby model list` shows what is"});
}

// The blob that a file of a snapshot is a link to, by name; empty where it leads anywhere else.
std::string blob_name(const CachedRepository& repository, const fs::path& file) {
  std::error_code error;
  const fs::path target = fs::read_symlink(file, error);
  const std::string name = target.filename().string();
  if (error || !is_safe_path(name)) return {};
  const fs::path whole = (file.parent_path() / target).lexically_normal();
  return whole == repository.blob(name).lexically_normal() ? name : std::string();
}

// Blobs, by name, that the snapshots but `without` lead to.
std::set<std::string> blobs_in_use(const CachedRepository& repository, const fs::path& without) {
  std::set<std::string> names;
  for (const fs::path& snapshot : folders_in(repository.folder() / "snapshots")) {
    if (snapshot == without) continue;
    for (const fs::path& file : files_under(snapshot)) names.insert(blob_name(repository, file));
  }
  return names;
}

// Somebody who downloads it would not like to see it go.
Result<void> nobody_has(const CachedRepository& repository, std::vector<FileLock>& locks) {
  for (const fs::path& file : files_under(repository.locks())) {
    auto lock = FileLock::try_acquire(file);
    if (!lock)
      return fail({.code = ErrorCode::kBusy,
                   .where = repository.folder().string(),
                   .problem = "is being downloaded by another process"});
    locks.push_back(*std::move(lock));
  }
  return {};
}

Result<void> remove_tree(const fs::path& path) {
  std::error_code error;
  fs::remove_all(path, error);  // which removes links themselves
  if (error)
    return fail({.code = ErrorCode::kIo,
                 .where = path.string(),
                 .problem = fmt::format("cannot be removed: {}", error.message())});
  return {};
}

std::uint64_t own_size(const fs::path& file) {
  std::error_code error;
  return fs::is_regular_file(fs::symlink_status(file, error)) ? size_of(file) : 0;
}

Result<Removed> remove_revision(const CachedRepository& repository, const std::string& commit) {
  const fs::path snapshot = repository.snapshot(commit);
  Removed removed{.revisions = 1};
  const std::set<std::string> kept = blobs_in_use(repository, snapshot);
  std::vector<fs::path> blobs;
  for (const fs::path& file : files_under(snapshot)) {
    removed.bytes += own_size(file);
    const std::string name = blob_name(repository, file);
    if (!name.empty() && !kept.contains(name)) blobs.push_back(repository.blob(name));
  }
  for (const auto& [its, names] : refs_of(repository.folder()))
    if (its == commit)
      for (const std::string& name : names)
        BOBBY_CHECK(remove_tree(repository.folder() / "refs" / name));
  BOBBY_CHECK(remove_tree(snapshot));
  BOBBY_CHECK(remove_tree(repository.folder() / ".no_exist" / commit));
  for (const fs::path& blob : blobs) {
    removed.bytes += own_size(blob);
    BOBBY_CHECK(remove_tree(blob));
  }
  return removed;
}

}  // namespace

std::vector<CachedModel> list_cached(const fs::path& cache) {
  std::vector<CachedModel> models;
  for (const fs::path& folder : folders_in(cache)) {
    const auto name = name_of_folder(folder.filename().string());
    if (!name) continue;
    CachedModel model = look_at(*name, cache);
    if (!model.revisions.empty() || model.bytes > 0) models.push_back(std::move(model));
  }
  return models;
}

Result<Removed> remove_cached(const fs::path& cache, const HubName& name, bool whole_repository) {
  const CachedRepository repository(cache, name);
  std::error_code status;
  if (!fs::is_directory(fs::symlink_status(repository.folder(), status)))
    return not_cached(cache, name, whole_repository);
  std::vector<FileLock> locks;
  BOBBY_CHECK(nobody_has(repository, locks));
  if (whole_repository) {
    Removed removed;
    removed.revisions = folders_in(repository.folder() / "snapshots").size();
    for (const fs::path& file : files_under(repository.folder())) removed.bytes += own_size(file);
    BOBBY_CHECK(remove_tree(repository.folder()));
    BOBBY_CHECK(remove_tree(repository.locks()));
    return removed;
  }
  const auto commit = repository.commit_of(name.revision);
  if (!commit || !fs::is_directory(fs::symlink_status(repository.snapshot(*commit), status)))
    return not_cached(cache, name, whole_repository);
  return remove_revision(repository, *commit);
}

Result<Verified> verify_cached(const fs::path& cache, const HubName& name,
                               const VerifyWatch& watch) {
  const auto folder = find_snapshot(name, cache);
  if (!folder) return not_cached(cache, name, false);
  const CachedRepository repository(cache, name);
  Verified verified{.folder = *folder};
  for (const fs::path& file : files_under(*folder)) {
    const std::string path = file.lexically_relative(*folder).string();
    const std::string where = fmt::format("{}: {}", name.text(), path);
    const std::string blob = blob_name(repository, file);
    const auto kind = hash_kind(blob);
    std::error_code status;
    if (!fs::exists(file, status)) {
      verified.problems.push_back(
          {.code = ErrorCode::kNotFound,
           .where = where,
           .problem = "leads to nothing",
           .hint = fmt::format("`bobby model pull {}` gets it", name.text())});
      continue;
    }
    ++verified.files;
    verified.bytes += size_of(file);
    if (!kind) {
      verified.unnamed.push_back(path);
      continue;
    }
    const auto digest = hash_file(file, *kind, [&] {
      if (watch) watch(path);
    });
    if (!digest)
      verified.problems.push_back(digest.error());
    else if (*digest != blob)
      verified.problems.push_back(
          {.code = ErrorCode::kMismatch,
           .where = where,
           .problem = "has other bytes than the hub says it has",
           .expected = blob,
           .found = *digest,
           .hint = fmt::format("`bobby model rm {}` and pull it again", name.repository())});
  }
  return verified;
}

}  // namespace bobby::hub
