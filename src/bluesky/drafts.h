#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "bluesky/session.h"
#include "bluesky/xrpc.h"

namespace bobby::bluesky {

/// A draft in Bluesky's own app, which the account's owner sees on every device: a post, or several
/// that make a thread.
struct RemoteDraft {
  std::string id;  ///< given by the server
  std::vector<std::string> texts = {};
  std::vector<std::string> langs = {};
  std::string created_at = {};
  std::string updated_at = {};
};

struct DraftPage {
  std::vector<RemoteDraft> drafts;
  std::string cursor;  ///< for the next page; empty: this is the last
};

/// What became of a change; the draft's id where it was done.
struct DraftResult {
  Verdict verdict;
  std::string id = {};
};

/// app.bsky.draft.*, where the account's server and the app view behind it have that; where they do
/// not, the verdict's error is kUnsupported. Drafts are private, and no records of the repository.
class RemoteDrafts {
 public:
  explicit RemoteDrafts(Session& session) : session_(session) {}

  /// kLimit before anything is sent: 1 to 100 posts of 1,000 graphemes and 10,000 bytes at most,
  /// three languages. kUnknown may have left a draft behind: list() shows.
  DraftResult create(const std::vector<std::string>& texts,
                     const std::vector<std::string>& langs = {});
  /// Of a draft that is not there, servers say nothing.
  DraftResult update(const RemoteDraft& draft);
  DraftResult remove(const std::string& id);
  /// Some fifty of them, from a page's cursor on.
  Result<DraftPage> list(const std::string& cursor = {});

 private:
  Session& session_;
};

}  // namespace bobby::bluesky
