#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "store/draft_store.h"
#include "store/outbox_post.h"

namespace bobby::store {

struct OutboxQuery {
  std::string account = {};  ///< empty: every one
  std::optional<OutboxState> state = {};
  std::int64_t limit = 50;
};

/// The approved posts of a store, the decisions about drafts, and what a schedule has handled.
/// Lies in the same file as the DraftStore, which takes part: a draft whose text or status is
/// changed leaves the outbox, unless it was sent. Every call may come from any thread or process,
/// and what it has answered survives the process and a loss of power.
class Outbox {
 public:
  /// As DraftStore::open.
  static Result<std::unique_ptr<Outbox>> open(const std::filesystem::path& path,
                                              StoreOptions options = {});
  virtual ~Outbox() = default;

  /// Approves a draft for an account under a key. One that is in the outbox already is returned as
  /// it is. kNotFound: no such draft; kUsage: it was rejected or posted, by hand say, or it is in
  /// another account's outbox; kMismatch: the account has another post under that key.
  virtual Result<OutboxPost> approve(std::int64_t draft_id, std::string_view account,
                                     std::string_view record_key, Moment now) = 0;
  /// A draft, approved or not, is rejected. kBusy: it is being sent; kUsage: it was posted.
  virtual Result<void> reject(std::int64_t draft_id, std::string_view reason, Moment now) = 0;
  /// An approved or refused post is a draft again. kNotFound, kBusy, kUsage as above.
  virtual Result<void> withdraw(std::int64_t draft_id, Moment now) = 0;
  /// A draft leaves for a queue elsewhere, Bluesky's own drafts say: it is rejected here, so that
  /// nothing posts it as well, and taken out of the outbox. `text` is what is sent; where an
  /// earlier begin_handover() has neither ended nor been taken back, its text is returned,
  /// in_doubt. kUsage: it was handed over already, rejected or posted; kBusy, kNotFound as above.
  /// The decisions are "handing over", then "handed over" or "withdrawn"; before it is withdrawn
  /// nobody can approve it here.
  struct Handover {
    std::string text;
    bool in_doubt = false;  ///< it may be there already
  };
  virtual Result<Handover> begin_handover(std::int64_t draft_id, std::string_view text,
                                          Moment now) = 0;
  /// It is there: `where` is kept as the decision's reason.
  virtual Result<void> end_handover(std::int64_t draft_id, std::string_view where, Moment now) = 0;
  /// It certainly is not there: it is a draft again.
  virtual Result<void> undo_handover(std::int64_t draft_id, Moment now) = 0;
  /// Drafts with the status "approved" that have no key yet (approved on the page, without an
  /// account): the oldest first.
  virtual Result<std::vector<std::int64_t>> without_key() = 0;

  virtual Result<std::optional<OutboxPost>> get(std::int64_t id) = 0;
  virtual Result<std::optional<OutboxPost>> of_draft(std::int64_t draft_id) = 0;
  /// The newest first.
  virtual Result<std::vector<OutboxPost>> list(const OutboxQuery& query) = 0;
  /// How many of an account stand in each state, by OutboxState's number.
  virtual Result<std::array<std::int64_t, 4>> counts(std::string_view account) = 0;
  /// When posts of an account went out (their last try), from `since` on, in order: those that were
  /// posted and those that are being sent, which may have been.
  virtual Result<std::vector<Moment>> posted_times(std::string_view account, Moment since) = 0;

  /// The oldest post of an account that is being sent: to be settled before anything else.
  virtual Result<std::optional<OutboxPost>> sending(std::string_view account) = 0;
  /// The oldest approved post of an account whose moment has come: one that was not tried yet, or
  /// one whose tries all failed.
  virtual Result<std::optional<OutboxPost>> next(std::string_view account, Moment now,
                                                 Tried tried) = 0;
  /// When the first of an account's posts whose tries all failed may be tried again; nothing: there
  /// is none.
  virtual Result<std::optional<Moment>> next_try(std::string_view account) = 0;
  /// approved → sending, before the request: `record` is kept unless there is one from an earlier
  /// try. `handled`: the slot that this uses, written in the same step. Nothing: it is not approved
  /// any more.
  virtual Result<std::optional<OutboxPost>> begin(std::int64_t id, std::string_view record,
                                                  Moment now, std::optional<Moment> handled) = 0;
  /// A further try of a post that is being sent and that the server was seen not to have.
  virtual Result<std::optional<OutboxPost>> begin_again(std::int64_t id, Moment now) = 0;
  /// sending → posted. The draft's status becomes "posted" in the same step. False: it is posted
  /// already, by whoever else settled it.
  virtual Result<bool> posted(std::int64_t id, std::string_view uri, std::string_view cid,
                              Moment now) = 0;
  /// approved or sending → refused: a person must look. False: it is neither, or someone else has
  /// begun another try since `post` was read, of which this says nothing.
  virtual Result<bool> refused(const OutboxPost& post, std::string_view problem, Moment now) = 0;
  /// The server certainly does not have it: sending → approved, not before `not_before`. False: it
  /// is not being sent, or someone else has begun another try since `post` was read.
  virtual Result<bool> postpone(const OutboxPost& post, std::string_view problem,
                                Moment not_before) = 0;
  /// Nobody knows yet: stays in sending, with why, to be asked about again at `not_before`.
  virtual Result<void> unknown(std::int64_t id, std::string_view problem, Moment not_before) = 0;

  /// Decisions, the newest first.
  virtual Result<std::vector<Decision>> decisions(std::int64_t limit) = 0;

  /// The last slot of a schedule that was used or dropped; 0: none yet.
  virtual Result<Moment> handled_until(std::string_view account) = 0;
  /// Slots up to `moment` are done with. Never goes back, but by resume().
  virtual Result<void> handle_until(std::string_view account, Moment moment) = 0;
  /// Until when an account does not post, and why: a server's verdict (a suspended account, say) or
  /// a person's.
  struct Pause {
    Moment until = 0;
    std::string reason;
  };
  virtual Result<Pause> pause(std::string_view account) = 0;
  virtual Result<void> set_pause(std::string_view account, const Pause& pause) = 0;
  /// An account goes on at `now`, whatever a clock that was ahead has left: there is no pause,
  /// slots after `now` are not handled, no try waits, and what went out later went out now.
  virtual Result<void> resume(std::string_view account, Moment now) = 0;

  /// Whether `owner` holds the lease on `name`, now held until `until`: it is taken when it is
  /// free, run out, or its own. Two daemons on one store take turns by it; that no post goes out
  /// twice does not hang on it.
  virtual Result<bool> hold_lease(std::string_view name, std::string_view owner, Moment now,
                                  Moment until) = 0;
  virtual Result<void> end_lease(std::string_view name, std::string_view owner) = 0;
};

}  // namespace bobby::store
