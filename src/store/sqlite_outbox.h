#pragma once

#include <memory>
#include <mutex>
#include <optional>

#include "store/outbox.h"
#include "store/sqlite.h"

namespace bobby::store {

/// The Outbox in the SQLite file of the drafts: one connection, which one thread uses at a time.
class SqliteOutbox final : public Outbox {
 public:
  static Result<std::unique_ptr<SqliteOutbox>> open(const std::filesystem::path& path,
                                                    const StoreOptions& options);

  Result<OutboxPost> approve(std::int64_t draft_id, std::string_view account,
                             std::string_view record_key, Moment now) override;
  Result<void> reject(std::int64_t draft_id, std::string_view reason, Moment now) override;
  Result<void> withdraw(std::int64_t draft_id, Moment now) override;
  Result<Handover> begin_handover(std::int64_t draft_id, std::string_view text,
                                  Moment now) override;
  Result<void> end_handover(std::int64_t draft_id, std::string_view where, Moment now) override;
  Result<void> undo_handover(std::int64_t draft_id, Moment now) override;
  Result<std::vector<std::int64_t>> without_key() override;
  Result<std::optional<OutboxPost>> get(std::int64_t id) override;
  Result<std::optional<OutboxPost>> of_draft(std::int64_t draft_id) override;
  Result<std::vector<OutboxPost>> list(const OutboxQuery& query) override;
  Result<std::array<std::int64_t, 4>> counts(std::string_view account) override;
  Result<std::vector<Moment>> posted_times(std::string_view account, Moment since) override;
  Result<std::optional<OutboxPost>> sending(std::string_view account) override;
  Result<std::optional<OutboxPost>> next(std::string_view account, Moment now,
                                         Tried tried) override;
  Result<std::optional<Moment>> next_try(std::string_view account) override;
  Result<std::optional<OutboxPost>> begin(std::int64_t id, std::string_view record, Moment now,
                                          std::optional<Moment> handled) override;
  Result<std::optional<OutboxPost>> begin_again(std::int64_t id, Moment now) override;
  Result<bool> posted(std::int64_t id, std::string_view uri, std::string_view cid,
                      Moment now) override;
  Result<bool> refused(const OutboxPost& post, std::string_view problem, Moment now) override;
  Result<bool> postpone(const OutboxPost& post, std::string_view problem,
                        Moment not_before) override;
  Result<void> unknown(std::int64_t id, std::string_view problem, Moment not_before) override;
  Result<std::vector<Decision>> decisions(std::int64_t limit) override;
  Result<Moment> handled_until(std::string_view account) override;
  Result<void> handle_until(std::string_view account, Moment moment) override;
  Result<Pause> pause(std::string_view account) override;
  Result<void> set_pause(std::string_view account, const Pause& pause) override;
  Result<void> resume(std::string_view account, Moment now) override;
  Result<bool> hold_lease(std::string_view name, std::string_view owner, Moment now,
                          Moment until) override;
  Result<void> end_lease(std::string_view name, std::string_view owner) override;

 private:
  /// A draft, as far as the outbox needs it.
  struct DraftState {
    std::string text;
    std::string status;
  };

  explicit SqliteOutbox(Database database) : database_(std::move(database)) {}

  // Within the caller's lock, and for those that write its transaction.
  Result<DraftState> draft(std::int64_t id);
  Result<void> set_draft_status(std::int64_t id, std::string_view status);
  Result<void> decide(const Decision& decision);
  /// The last decision about a draft; an empty one where there is none.
  Result<Decision> last_decision(std::int64_t draft_id);
  /// Ends a handover that has begun by a decision, whose text is what was sent; kUsage else.
  Result<void> finish_handover(Decision decision);
  Result<std::optional<OutboxPost>> find(std::string_view condition, std::int64_t value);
  Result<void> write_handled(std::string_view account, Moment moment);
  /// kBusy or kUsage for a post that was sent.
  static Result<void> check_unsent(const OutboxPost& post);

  std::mutex mutex_;
  Database database_;
};

}  // namespace bobby::store
