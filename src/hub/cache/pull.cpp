#include "hub/cache/pull.h"

#include <algorithm>
#include <fmt/format.h>
#include <fstream>
#include <iterator>
#include <numeric>
#include <utility>

#include "hub/cache/cache_layout.h"
#include "hub/cache/hub_client.h"

namespace bobby::hub {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kLongestIndex = std::size_t{64} << 20;

Result<std::string> read_index(const fs::path& file) {
  std::error_code error;
  const std::uintmax_t size = fs::file_size(file, error);
  if (error || size > kLongestIndex)
    return fail({.code = error ? ErrorCode::kIo : ErrorCode::kLimit,
                 .where = file.string(),
                 .problem = error ? "cannot be read" : "is too long for an index"});
  std::ifstream stream(file, std::ios::binary);
  return std::string(std::istreambuf_iterator<char>(stream), {});
}

bool has_weights(const fs::path& snapshot) {
  std::error_code status;
  if (fs::exists(snapshot / kIndexFile, status)) {
    const auto text = read_index(snapshot / kIndexFile);
    const auto files =
        text ? indexed_weights(*text, snapshot.string()) : Result<std::vector<std::string>>();
    return text && files && std::ranges::all_of(*files, [&](const std::string& file) {
             return fs::exists(snapshot / file, status);
           });
  }
  for (fs::directory_iterator entry(snapshot, status), end; !status && entry != end;
       entry.increment(status)) {
    const std::string name = entry->path().filename().string();
    // A shard ("model-00001-of-00002") whose index has not come yet is not all of them.
    const bool shard = name.find("-of-") != std::string::npos;
    if (name.starts_with("model") && name.ends_with(".safetensors") && !shard &&
        fs::exists(entry->path(), status))
      return true;
  }
  return false;
}

bool is_whole(const CachedRepository& repository, const std::string& commit, Content content) {
  const auto has = [&](std::string_view path) {
    return repository.look_up(commit, path) == Cached::kHere;
  };
  const bool tokenizer = has("tokenizer.json");
  const bool model = has("config.json") && has_weights(repository.snapshot(commit)) &&
                     repository.look_up(commit, "tokenizer.json") != Cached::kUnknown;
  const bool adapter = has("adapter_config.json") &&
                       (has("adapters.safetensors") || has("adapter_model.safetensors"));
  switch (content) {
    case Content::kAny: return model || adapter;
    case Content::kModel: return model;
    case Content::kAdapter: return adapter;
    case Content::kTokenizer: return tokenizer;
  }
  return false;
}

bool is_needed(std::string_view path) {
  return path == "config.json" || path == "adapter_config.json" || path == kIndexFile ||
         path.ends_with(".safetensors");
}

// One pull, which has to ask the hub.
class Pull {
 public:
  Pull(const PullRequest& request, const HubSettings& settings, const PullWatch& watch)
      : request_(request),
        settings_(settings),
        watch_(watch),
        repository_(settings.cache, request.name),
        client_(settings, [this] { tell(); }) {}

  Result<Pulled> run();

 private:
  Result<void> get(const std::vector<std::string>& paths);
  Result<void> make_room(const std::vector<RemoteFile>& files) const;
  Result<std::vector<std::string>> weights_of(const FileChoice& choice) const;
  Result<std::optional<RemoteFile>> find(const std::string& path);
  void tell() const {
    if (watch_) watch_({.phase = PullPhase::kAsking, .file = asked_about_});
  }

  const PullRequest& request_;
  const HubSettings& settings_;
  const PullWatch& watch_;
  CachedRepository repository_;
  HubClient client_;
  HubName at_commit_;
  Listing listing_;
  std::string asked_about_;
  Pulled pulled_;
};

// None for a file that is not there after all, and that a model can do without.
Result<std::optional<RemoteFile>> Pull::find(const std::string& path) {
  asked_about_ = path;
  bool absent = false;
  auto file = client_.find(at_commit_, path, &absent);
  asked_about_.clear();
  if (absent) repository_.note_absent(at_commit_.revision, path);
  if (absent && !is_needed(path)) return std::optional<RemoteFile>();
  if (!file) return fail(std::move(file).error());
  return std::optional(*std::move(file));
}

Result<void> Pull::make_room(const std::vector<RemoteFile>& files) const {
  const std::uint64_t needed = std::accumulate(
      files.begin(), files.end(), std::uint64_t{0}, [&](std::uint64_t sum, const RemoteFile& file) {
        const std::uint64_t missing = bytes_missing(repository_, file);
        return sum > UINT64_MAX - missing ? UINT64_MAX : sum + missing;
      });
  std::error_code error;
  fs::create_directories(repository_.folder() / "blobs", error);
  const fs::space_info space = fs::space(repository_.folder(), error);
  if (error || needed <= space.available) return {};
  return fail({.code = ErrorCode::kLimit,
               .where = settings_.cache.string(),
               .problem = fmt::format("has no room for {}", request_.name.text()),
               .expected = fmt::format("{:.1f} MB", static_cast<double>(needed) / 1e6),
               .found = fmt::format("{:.1f} MB free", static_cast<double>(space.available) / 1e6),
               .hint = "make room, or name another place in HF_HUB_CACHE"});
}

Result<void> Pull::get(const std::vector<std::string>& paths) {
  std::vector<RemoteFile> files;
  for (const std::string& path : paths) {
    ++pulled_.files;
    const Cached cached = repository_.look_up(at_commit_.revision, path);
    if (cached == Cached::kHere) continue;
    if (cached == Cached::kAbsent && !is_needed(path)) {
      --pulled_.files;
      continue;
    }
    BOBBY_TRY(std::optional<RemoteFile> file, find(path));
    if (file)
      files.push_back(*std::move(file));
    else
      --pulled_.files;
  }
  BOBBY_CHECK(make_room(files));
  const DownloadParts parts{client_, repository_, settings_, watch_};
  for (RemoteFile& file : files) {
    BOBBY_TRY(const std::uint64_t bytes, download(parts, at_commit_, std::move(file)));
    pulled_.bytes += bytes;
    ++pulled_.downloaded;
  }
  return {};
}

Result<std::vector<std::string>> Pull::weights_of(const FileChoice& choice) const {
  std::vector<std::string> weights = choice.weights;
  if (!choice.has_index) return weights;
  const fs::path index = repository_.pointer(at_commit_.revision, kIndexFile);
  BOBBY_TRY(const std::string text, read_index(index));
  BOBBY_TRY(const std::vector<std::string> named,
            indexed_weights(text, fmt::format("{}: {}", request_.name.text(), kIndexFile)));
  for (const std::string& file : named) {
    if (std::ranges::find(listing_.paths, file) == listing_.paths.end())
      return fail({.code = ErrorCode::kMismatch,
                   .where = fmt::format("{}: {}", request_.name.text(), kIndexFile),
                   .problem = "names a file that the repository lacks",
                   .found = file});
    if (!matches_any(request_.exclude, file) && std::ranges::find(weights, file) == weights.end())
      weights.push_back(file);
  }
  return weights;
}

Result<Pulled> Pull::run() {
  at_commit_ = request_.name;
  // What is here is completed as it is; what the revision is by now is asked for an update.
  if (!request_.update)
    if (auto commit = repository_.commit_of(request_.name.revision); commit && is_commit(*commit))
      at_commit_.revision = *std::move(commit);
  tell();
  BOBBY_TRY(listing_, client_.list(at_commit_));
  if (is_commit(at_commit_.revision) && at_commit_.revision != listing_.commit)
    return fail({.code = ErrorCode::kMismatch,
                 .where = request_.name.text(),
                 .problem = "the hub answers for another commit",
                 .expected = at_commit_.revision,
                 .found = listing_.commit});
  at_commit_.revision = listing_.commit;
  auto choice = choose_files(listing_.paths, request_.content, request_.include, request_.exclude);
  if (!choice) return fail(std::move(choice).error().in(request_.name.text()));
  BOBBY_CHECK(get(choice->small));
  BOBBY_TRY(const std::vector<std::string> weights, weights_of(*choice));
  BOBBY_CHECK(get(weights));
  // So that nobody asks again whether a model without one is whole.
  if (choice->has_model &&
      std::ranges::find(listing_.paths, "tokenizer.json") == listing_.paths.end())
    repository_.note_absent(at_commit_.revision, "tokenizer.json");
  BOBBY_CHECK(repository_.write_ref(request_.name.revision, at_commit_.revision));
  pulled_.folder = repository_.snapshot(at_commit_.revision);
  pulled_.commit = at_commit_.revision;
  pulled_.asked = true;
  return std::move(pulled_);
}

// Whether the network is to blame, not what was asked for.
bool is_of_the_network(const Error& error) {
  return error.code == ErrorCode::kIo || error.code == ErrorCode::kTimeout ||
         error.code == ErrorCode::kBusy || error.code == ErrorCode::kNotFound;
}

}  // namespace

std::optional<fs::path> find_snapshot(const HubName& name, const fs::path& cache) {
  const CachedRepository repository(cache, name);
  const auto commit = repository.commit_of(name.revision);
  std::error_code status;
  if (!commit || !fs::is_directory(repository.snapshot(*commit), status)) return std::nullopt;
  return repository.snapshot(*commit);
}

std::optional<fs::path> find_whole(const HubName& name, Content content, const fs::path& cache) {
  const CachedRepository repository(cache, name);
  const auto commit = repository.commit_of(name.revision);
  if (!commit || !is_whole(repository, *commit, content)) return std::nullopt;
  return repository.snapshot(*commit);
}

Result<Pulled> pull(const PullRequest& request, const HubSettings& settings,
                    const PullWatch& watch) {
  const auto here = [&](const fs::path& folder) {
    return Pulled{.folder = folder, .commit = folder.filename().string()};
  };
  if (!request.update && request.include.empty() && request.exclude.empty())
    if (const auto folder = find_whole(request.name, request.content, settings.cache))
      return here(*folder);
  if (settings.offline)
    return fail({.code = request.update ? ErrorCode::kUsage : ErrorCode::kNotFound,
                 .where = request.name.text(),
                 .problem = request.update
                                ? "an update is asked for, and being offline forbids it"
                                : fmt::format("is not in the cache ({}), or lacks something, and "
                                              "being offline forbids asking for it",
                                              settings.cache.string()),
                 .hint = "without --offline and HF_HUB_OFFLINE it is downloaded"});
  auto pulled = Pull(request, settings, watch).run();
  if (pulled || request.update || !is_of_the_network(pulled.error())) return pulled;
  // Without a tokenizer a model is of use still.
  const auto folder = find_snapshot(request.name, settings.cache);
  std::error_code status;
  if (request.content == Content::kModel && folder && has_weights(*folder) &&
      fs::exists(*folder / "config.json", status))
    return here(*folder);
  return pulled;
}

}  // namespace bobby::hub
