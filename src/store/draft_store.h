#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "store/outbox_post.h"

namespace bobby::store {

/// What may become of a draft; a new one is "draft".
inline constexpr std::array<std::string_view, 4> kDraftStatuses = {"draft", "approved", "rejected",
                                                                   "posted"};

/// Where a draft's post stands: of its OutboxPost what a list of drafts tells.
struct PostStanding {
  OutboxState state = OutboxState::kApproved;
  std::string account;
  std::string record_key;
  std::string uri;
  std::string problem;
  std::int64_t attempts = 0;
  Moment not_before = 0;
  Moment approved_at = 0;
  Moment posted_at = 0;
};

/// The last decision about a draft: see Decision.
struct LastDecision {
  std::string decision;
  std::string reason;
  Moment at = 0;
};

/// A text that someone kept, where it came from, and what became of it. Texts are UTF-8.
struct Draft {
  std::int64_t id = 0;  ///< grows; never given twice, also not after a removal
  std::string text;
  std::string status;   ///< one of kDraftStatuses
  std::string prompt;   ///< what it was written for; may be empty
  std::string adapter;  ///< the voice it was written in; empty: the base model
  std::optional<std::int64_t> seed;
  std::int64_t graphemes = 0;  ///< of `text`, counted by the caller
  std::string created_at;      ///< RFC 3339, UTC, with milliseconds: "2025-11-28T16:07:31.042Z"
  std::string updated_at;
  std::optional<PostStanding> post;      ///< nothing: it is in no outbox
  std::optional<LastDecision> decision;  ///< nothing: nobody decided about it yet
};

struct NewDraft {
  std::string text;
  std::string prompt = {};
  std::string adapter = {};
  std::optional<std::int64_t> seed = {};
  std::int64_t graphemes = 0;
};

struct DraftQuery {
  /// Words, parted by ASCII white space, each of which the text or the prompt must hold somewhere.
  /// Compared after Unicode normalisation (NFKC) and full case folding: "STRASSE" finds "Straße".
  std::string query = {};
  std::string status = {};               ///< empty: any
  std::optional<OutboxState> post = {};  ///< only those whose post stands there
  std::vector<std::int64_t> ids = {};    ///< only these; empty: any
  std::int64_t limit = 50;
  std::optional<std::int64_t> before = {};  ///< only ids below this one: the next page
};

struct DraftPage {
  std::vector<Draft> drafts;  ///< the newest first
  std::int64_t total = 0;     ///< how many match `query` and `status` on all pages together
  bool has_more = false;      ///< there are older ones than the last of `drafts`
};

struct DraftChange {
  std::optional<std::string> text = {};
  std::optional<std::string> status = {};
  std::int64_t graphemes = 0;  ///< of the new text; read only where there is one
  /// Why: kept with the decision that the status is; read only where there is one.
  std::optional<std::string> reason = {};
  /// The text that whoever changes it has seen; one that is another by now is left as it is.
  std::optional<std::string> seen_text = {};
};

struct StoreOptions {
  /// How long a call waits for another process that is writing.
  std::chrono::milliseconds busy_timeout{5000};
};

/// The drafts. Every call may come from any thread, and several processes may share one store. What
/// a call has answered survives the process and a loss of power. An interface, so that a database
/// on another machine can stand behind it.
class DraftStore {
 public:
  /// Opens the SQLite file at `path`, made (mode 0600, missing folders 0700) where there is none,
  /// brings its schema up to date and checks it. Errors name the file: kMalformed for one that is
  /// damaged or no store of ours, kUnsupported for a newer version's, kIo for what the system
  /// refused or another process holds.
  static Result<std::unique_ptr<DraftStore>> open(const std::filesystem::path& path,
                                                  StoreOptions options = {});
  virtual ~DraftStore() = default;

  /// kUsage where a text is no valid UTF-8.
  virtual Result<Draft> create(const NewDraft& draft) = 0;
  /// Nothing: there is no such draft.
  virtual Result<std::optional<Draft>> get(std::int64_t id) = 0;
  virtual Result<DraftPage> list(const DraftQuery& query) = 0;
  /// The draft as it is now; nothing: there is no such draft. One that was approved is a draft
  /// again when its text changes, unless a status comes with it. A new status is kept as a
  /// decision. kUsage for an unknown status, for one that was posted by way of the Outbox, and for
  /// approving anew what a server refused; kBusy while it is being posted; kMismatch: not the text
  /// seen.
  virtual Result<std::optional<Draft>> update(std::int64_t id, const DraftChange& change) = 0;
  /// False: there was no such draft. kBusy while it is being posted.
  virtual Result<bool> remove(std::int64_t id) = 0;

  /// Writes a copy of the whole store to `path`, which must not exist, while others read and write.
  virtual Result<void> backup(const std::filesystem::path& path) = 0;
  /// Reads everything there is and says what is wrong with it (opening checks most of it).
  virtual Result<void> check() = 0;
};

}  // namespace bobby::store
