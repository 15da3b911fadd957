#include "hub/cache/download.h"

#include <fmt/format.h>
#include <utility>

#include "http/ranged_fetch.h"
#include "http/url.h"
#include "hub/cache/file_lock.h"
#include "hub/cache/incomplete_file.h"

namespace bobby::hub {
namespace {

namespace fs = std::filesystem;

constexpr int kMostAsks = 4;  // of one file, where the server changes its mind

// One file on its way into the cache.
class Download {
 public:
  Download(const DownloadParts& parts, const HubName& name, RemoteFile file)
      : parts_(parts), name_(name), file_(std::move(file)) {}

  Result<std::uint64_t> run();

 private:
  enum class Outcome : std::uint8_t { kStored, kWrong };

  Result<Outcome> store();
  Result<Outcome> fetch(IncompleteFile& incomplete);
  Result<Outcome> put_in_place(IncompleteFile& incomplete);
  Result<net::FetchEnd> ask(IncompleteFile& incomplete);
  Result<void> link(bool is_new);
  bool has_blob() const;
  void tell(PullPhase phase, std::uint64_t done) const;
  std::string where() const { return fmt::format("{}: {}", name_.text(), file_.path); }

  const DownloadParts& parts_;
  const HubName& name_;
  RemoteFile file_;
  std::uint64_t received_ = 0;
  std::uint64_t before_ = 0;
};

void Download::tell(PullPhase phase, std::uint64_t done) const {
  if (parts_.watch)
    parts_.watch({.phase = phase,
                  .file = file_.path,
                  .done = done,
                  .total = file_.size.value_or(0),
                  .before = before_});
}

// A blob of another length than the hub gives is none: some clients do not look at what they got.
bool Download::has_blob() const {
  std::error_code error;
  const std::uintmax_t size = fs::file_size(parts_.repository.blob(file_.etag), error);
  return !error && (!file_.size || size == *file_.size);
}

Result<void> Download::link(bool is_new) {
  return parts_.repository.link(file_.etag, parts_.repository.pointer(file_.commit, file_.path),
                                parts_.settings.symlinks, is_new);
}

Result<net::FetchEnd> Download::ask(IncompleteFile& incomplete) {
  const HubSettings& settings = parts_.settings;
  const std::uint64_t from = incomplete.size();
  net::FetchRequest request{
      .url = file_.url, .from = from, .size = file_.size, .if_range = file_.if_range};
  if (net::same_origin(file_.url, settings.endpoint))
    request.private_headers = parts_.client.private_headers();
  const net::FetchSettings how{
      .connect_timeout = settings.download_timeout,
      .stall_timeout = settings.download_timeout,
      .patience = settings.patience,
      .plain_http_to_loopback = net::leads_to_this_machine(settings.endpoint)};
  std::uint64_t came = 0;
  auto end = net::fetch_ranged(
      request, how, [&](std::span<const std::byte> bytes) { return incomplete.append(bytes); },
      [&](std::uint64_t bytes) {
        received_ += bytes - came;
        came = bytes;
        tell(PullPhase::kDownloading, from + bytes);
      });
  if (!end) return fail(std::move(end).error().in(where()));
  return end;
}

Result<Download::Outcome> Download::put_in_place(IncompleteFile& incomplete) {
  BOBBY_TRY(const bool whole, incomplete.is_whole(file_.etag, [&] {
    tell(PullPhase::kChecking, incomplete.size());
  }));
  if (!whole) {
    incomplete.remove();
    return Outcome::kWrong;
  }
  BOBBY_CHECK(incomplete.rename_to(parts_.repository.blob(file_.etag)));
  BOBBY_CHECK(link(true));
  return Outcome::kStored;
}

Result<Download::Outcome> Download::fetch(IncompleteFile& incomplete) {
  before_ = incomplete.size();
  BOBBY_CHECK(incomplete.read_again([&] { tell(PullPhase::kChecking, incomplete.size()); }));
  for (int asks = 0; asks < kMostAsks; ++asks) {
    if (file_.size && incomplete.size() == *file_.size) return put_in_place(incomplete);
    BOBBY_TRY(const net::FetchEnd end, ask(incomplete));
    switch (end) {
      case net::FetchEnd::kDone: return put_in_place(incomplete);
      case net::FetchEnd::kChanged: incomplete.remove(); return Outcome::kWrong;
      case net::FetchEnd::kStartOver:
        BOBBY_CHECK(incomplete.clear());
        before_ = 0;
        break;
      case net::FetchEnd::kExpired: {
        const std::string etag = file_.etag;
        BOBBY_TRY(file_, parts_.client.find(name_, file_.path));
        if (file_.etag != etag) return Outcome::kWrong;
        break;
      }
    }
  }
  return fail({.code = ErrorCode::kIo,
               .where = where(),
               .problem = "the server does not give the whole file",
               .hint = "what is here is kept: pull again"});
}

Result<Download::Outcome> Download::store() {
  const CachedRepository& repository = parts_.repository;
  BOBBY_CHECK(repository.make_folders(repository.pointer(file_.commit, file_.path)));
  BOBBY_TRY(const FileLock lock, FileLock::acquire(repository.lock(file_.etag),
                                                   [&] { tell(PullPhase::kWaiting, 0); }, {}));
  if (has_blob()) {
    std::error_code status;
    if (!fs::exists(repository.pointer(file_.commit, file_.path), status)) BOBBY_CHECK(link(false));
    return Outcome::kStored;
  }
  // Where nothing can be locked, another process may be at it too: each has a file of its own.
  const fs::path path =
      lock.held() ? repository.incomplete(file_.etag)
                  : repository.incomplete(fmt::format("{}.{}", file_.etag, random_suffix()));
  BOBBY_TRY(IncompleteFile incomplete,
            IncompleteFile::open(path, *hash_kind(file_.etag), file_.size));
  auto outcome = fetch(incomplete);
  if (!lock.held() && !outcome) incomplete.remove();
  return outcome;
}

Result<std::uint64_t> Download::run() {
  constexpr int kTries = 2;
  for (int number = 1;; ++number) {
    BOBBY_TRY(const Outcome outcome, store());
    if (outcome == Outcome::kStored) {
      tell(PullPhase::kDone, file_.size.value_or(received_));
      return received_;
    }
    if (number == kTries)
      return fail({.code = ErrorCode::kMismatch,
                   .where = where(),
                   .problem =
                       "came twice with other bytes than the hub says it has, and was thrown "
                       "away",
                   .expected = file_.etag});
    BOBBY_TRY(file_, parts_.client.find(name_, file_.path));
  }
}

}  // namespace

Result<std::uint64_t> download(const DownloadParts& parts, const HubName& name, RemoteFile file) {
  return Download(parts, name, std::move(file)).run();
}

std::uint64_t bytes_missing(const CachedRepository& repository, const RemoteFile& file) {
  if (!file.size) return 0;
  std::error_code error;
  if (fs::exists(repository.blob(file.etag), error)) return 0;
  const std::uintmax_t here = fs::file_size(repository.incomplete(file.etag), error);
  return error || here > *file.size ? *file.size : *file.size - here;
}

}  // namespace bobby::hub
