#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "bluesky/identity.h"
#include "bluesky/private_file.h"
#include "bluesky/rate_budget.h"
#include "http/backoff.h"

namespace bobby::bluesky {

/// What a session is made of.
struct SessionData {
  Account account;
  std::string access = {};
  std::string refresh = {};
  TimePoint good_until = {};  ///< of `access`, by this machine's clock
};

/// The folder of an account's files below the one for all accounts.
std::filesystem::path account_folder(const std::filesystem::path& accounts, const std::string& did);

/// The accounts below a folder that are logged in, by their DIDs.
std::vector<std::string> logged_in_accounts(const std::filesystem::path& accounts);

/// The files of one account: session.json, budget.json and the lock of both. All are its owner's
/// alone, and each is replaced whole or not at all.
class AccountFiles {
 public:
  explicit AccountFiles(std::filesystem::path folder) : folder_(std::move(folder)) {}

  /// Held by one at a time, among processes and threads. Waits; kBusy after two minutes; kIo.
  Result<FileLock> lock(const http::Watch& watch) const;

  /// Nothing: there is none. kMalformed, kIo.
  Result<std::optional<SessionData>> session() const;
  Result<void> save(const SessionData& data) const;
  Result<void> forget_session() const;

  /// A file that is missing or damaged is a budget of which nothing is spent. kIo.
  Result<RateBudget> budget() const;
  Result<void> save(const RateBudget& budget) const;

 private:
  std::filesystem::path folder_;
};

}  // namespace bobby::bluesky
