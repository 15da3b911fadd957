#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "http/client.h"
#include "hub/cache/hub_name.h"
#include "hub/cache/hub_settings.h"

namespace bobby::hub {

/// The files of a repository at a revision.
struct Listing {
  std::string commit;
  std::vector<std::string> paths;  ///< all of them safe
};

/// A file of a repository at a commit.
struct RemoteFile {
  std::string path;
  std::string commit;
  std::string etag;                   ///< the blob's name
  std::optional<std::uint64_t> size;  ///< none: the hub does not say
  std::string url;                    ///< where its bytes are
  std::string if_range;               ///< the ETag that `url` answers with; empty: not known
};

/// The listing that the hub's API answers with, as JSON. kMalformed: no such thing, more than
/// 100,000 files, or a path that leads out of the repository; `where` is for messages.
Result<Listing> parse_listing(std::string_view json, const std::string& where);

/// Asks the hub about repositories. The token goes to the hub's own origin alone.
class HubClient {
 public:
  HubClient(const HubSettings& settings, net::Watch watch);

  /// The commit of name.revision and its files. kNotFound: no such repository or revision, or one
  /// that the token may not see; kIo for a gated one and for refusals; net::Client's errors.
  Result<Listing> list(const HubName& name);

  /// What the hub says of a file at name.revision, which is a commit: in the first answer that is
  /// no redirect, or leads away from the hub. kNotFound: no such file, and `absent` is set where
  /// the hub says so; kMismatch: it is of another commit; kMalformed; those of list().
  Result<RemoteFile> find(const HubName& name, const std::string& path, bool* absent = nullptr);

  /// "Authorization: Bearer ...", or none.
  const std::vector<std::string>& private_headers() const { return headers_; }

 private:
  struct Head;

  Result<net::Answer> ask(const std::string& url, bool head);
  Result<Head> ask_for_file(const HubName& name, const std::string& path);

  HubSettings settings_;
  std::vector<std::string> headers_;
  net::Client client_;
};

}  // namespace bobby::hub
