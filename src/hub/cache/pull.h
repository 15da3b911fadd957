#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "hub/cache/download.h"
#include "hub/cache/file_choice.h"
#include "hub/cache/hub_name.h"
#include "hub/cache/hub_settings.h"

namespace bobby::hub {

struct PullRequest {
  HubName name;
  Content content = Content::kAny;
  bool update = false;  ///< ask the hub what the revision is now, though one is here
  std::vector<std::string> include = {};  ///< as choose_files() takes them
  std::vector<std::string> exclude = {};
};

struct Pulled {
  std::filesystem::path folder;  ///< the snapshot
  std::string commit;
  std::size_t files = 0;       ///< that were asked for and are there
  std::size_t downloaded = 0;  ///< of them, now
  std::uint64_t bytes = 0;     ///< over the network
  bool asked = false;          ///< whether the hub was
};

/// The snapshot of the name's revision, if it is in the cache and has what `content` needs.
std::optional<std::filesystem::path> find_whole(const HubName& name, Content content,
                                                const std::filesystem::path& cache);
/// The snapshot of the name's revision, whatever it has.
std::optional<std::filesystem::path> find_snapshot(const HubName& name,
                                                   const std::filesystem::path& cache);

/// Gets the files that are needed into the cache. A revision that is there and whole is left as it
/// is, without asking anybody, unless an update is asked for; one that lacks something is completed
/// at its own commit. The revision stands for a new commit only once all of it is there. kUsage:
/// the hub would have to be asked, and `settings.offline` forbids it; kLimit: the disk has no room;
/// kNotFound, kMalformed; those of HubClient and download().
Result<Pulled> pull(const PullRequest& request, const HubSettings& settings,
                    const PullWatch& watch);

}  // namespace bobby::hub
