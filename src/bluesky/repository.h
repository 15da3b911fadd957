#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/progress.h"
#include "base/result.h"
#include "bluesky/post_record.h"
#include "bluesky/records.h"
#include "bluesky/session.h"
#include "bluesky/xrpc.h"

namespace bobby::bluesky {

struct StoredRecord {
  RecordRef ref;
  std::string value;  ///< JSON
};

/// What became of a write; the record's address where it was done.
struct WriteResult {
  Verdict verdict;
  RecordRef record = {};
};

/// What must be there for a write to be done; nothing: whatever is there.
struct Expected {
  /// Its CID; empty: no record.
  std::optional<std::string> cid = {};
};

/// One write of several that are done together or not at all.
struct Write {
  enum class Kind : std::uint8_t { kCreate, kUpdate, kDelete };
  Kind kind = Kind::kCreate;
  std::string collection;
  std::string key;
  std::string record = {};  ///< JSON; unused by kDelete
};

/// The records of an account on its own server. Posts are checked (check_post_record) before
/// anything leaves. Nothing that writes is sent twice by itself, but after a token that the server
/// found expired, which is a definite refusal.
class Repository {
 public:
  explicit Repository(Session& session) : session_(session) {}

  /// com.atproto.repo.createRecord. A server refuses a key that is there already, some with a 500:
  /// kUnknown, as whatever else leaves it open whether the record is there. Call get() then. A
  /// kRefused says nothing of what an earlier request with the same key has done.
  WriteResult create(const std::string& collection, const std::string& key,
                     const std::string& record);
  /// com.atproto.repo.putRecord: the record is this one afterwards. kRefused with kMismatch when
  /// something else is there than expected.
  WriteResult put(const std::string& collection, const std::string& key, const std::string& record,
                  const Expected& expected = {});
  /// com.atproto.repo.deleteRecord: there is no such record afterwards.
  WriteResult remove(const std::string& collection, const std::string& key,
                     const Expected& expected = {});
  /// com.atproto.repo.applyWrites: all of them (at most 200) or none.
  WriteResult apply(std::span<const Write> writes);

  /// What the account's server has under a key; nothing: it says that there is no such record. Any
  /// doubt is an error.
  Result<std::optional<StoredRecord>> get(const std::string& collection, const std::string& key);
  /// list_records() of the account.
  Result<void> list(const std::string& collection, const RecordSink& sink,
                    const ProgressFn& progress = {});

  const Session& session() const { return session_; }

 private:
  WriteResult write(const std::string& method, nlohmann::json input, Spending what,
                    const std::string& uri);

  Session& session_;
};

/// Sets or takes away a label that the account gives itself, on its profile; what else the profile
/// holds stays, also when another program changes it meanwhile. Whether anything had to be changed.
Result<bool> set_self_label(Repository& repository, std::string_view label, bool set);

}  // namespace bobby::bluesky
