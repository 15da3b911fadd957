#pragma once

#include <cstdint>
#include <functional>
#include <string_view>

#include "base/result.h"
#include "hub/cache/cache_layout.h"
#include "hub/cache/hub_client.h"

namespace bobby::hub {

/// What is being done with a file.
enum class PullPhase : std::uint8_t {
  kAsking,    ///< the hub is asked what there is
  kWaiting,   ///< another process has it
  kChecking,  ///< what was here before is read
  kDownloading,
  kDone,
};

/// How far a pull is.
struct PullProgress {
  PullPhase phase = PullPhase::kAsking;
  std::string_view file;     ///< valid during the call only; empty: of no file
  std::uint64_t done = 0;    ///< bytes of the file that are here
  std::uint64_t total = 0;   ///< 0: unknown
  std::uint64_t before = 0;  ///< bytes of it that were here when it began
};

/// Called ten times a second at least; may throw, which ends the pull and passes through: what came
/// of a file stays for the next one.
using PullWatch = std::function<void(const PullProgress&)>;

/// What downloads share.
struct DownloadParts {
  HubClient& client;
  const CachedRepository& repository;
  const HubSettings& settings;
  const PullWatch& watch;
};

/// Gets the file into the cache: its blob, unless that is there, and the pointer that its snapshot
/// has to it. The bytes are hashed as they come, and the blob has its name only once they are
/// right: wrong ones are thrown away and asked for once more. Of two processes one downloads and
/// the other waits. Returns the bytes that came over the network. kMismatch for bytes that are
/// wrong twice; kIo; HubClient's and net::fetch_ranged's errors.
Result<std::uint64_t> download(const DownloadParts& parts, const HubName& name, RemoteFile file);

/// Bytes that download() would still have to get; 0 when they are not known.
std::uint64_t bytes_missing(const CachedRepository& repository, const RemoteFile& file);

}  // namespace bobby::hub
