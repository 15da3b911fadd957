#pragma once

#include <filesystem>
#include <functional>
#include <optional>
#include <string>

#include "base/result.h"
#include "bluesky/account_files.h"
#include "bluesky/identity.h"
#include "bluesky/rate_budget.h"
#include "bluesky/xrpc.h"
#include "http/backoff.h"

namespace bobby::bluesky {

struct SessionSettings {
  Transport transport;
  /// Of the account alone: its session (mode 0600) and its budget are kept there. account_folder().
  std::filesystem::path folder;
  std::function<TimePoint()> now = [] { return std::chrono::system_clock::now(); };
  net::Watch watch = {};  ///< called while another process's refresh is waited for
};

struct Credentials {
  std::string password;           ///< an app password, better than the account's own
  std::string sign_in_code = {};  ///< what the server sent by mail, where it asks for that
};

/// An account that is logged in: its tokens, kept in a file, renewed before they run out by one
/// process at a time, and the budget of what may be asked of its server. Passwords are not kept.
/// One thread at a time; any number of processes.
class Session {
 public:
  /// The session that is on the disk. kNotFound: nobody is logged in; kMalformed; kIo.
  static Result<Session> open(SessionSettings settings);

  /// Logs in and keeps the session. Where one of the same account is there and can still be
  /// renewed, that is done instead, unless `again`: servers allow few logins a day. kUsage: wrong
  /// password or a code is missing; kBusy: too many logins, by the budget or the server; kIo.
  static Result<Session> log_in(SessionSettings settings, const Account& account,
                                const Credentials& credentials, bool again = false);

  /// The account's DID, its newest known handle and its server.
  const Account& account() const { return data_.account; }

  /// Calls a method of the account's server as the account: with a token that is good, renewed
  /// once where the server finds that it is not, within the budget. `count`: how many records it
  /// writes. `call.service` and `call.token` are set here.
  XrpcReply call(XrpcCall call, Spending what, std::int64_t count = 1);

  /// Asks without a token, again where a try fails.
  Result<net::Answer> get(const std::string& method, const std::string& query);

  /// Ends the session at the server and forgets it here, whatever the server says of that: its
  /// verdict. Others that use the session find that there is none. kIo: it is still here.
  Result<Verdict> log_out();

  /// What is known of the budget; kIo.
  Result<RateBudget> budget() const { return files_.budget(); }
  TimePoint now() const { return settings_.now(); }
  const Transport& transport() const { return settings_.transport; }

 private:
  Session(SessionSettings settings, AccountFiles files, SessionData data);

  // Each gives why it cannot go on; nothing: it can.
  std::optional<Verdict> ensure_token();
  std::optional<Verdict> renew(const std::string& stale_access);
  std::optional<Verdict> spend(Spending what, std::int64_t count);
  void learn(Spending what, const XrpcReply& reply);
  Result<void> adopt(const nlohmann::json& tokens);
  Result<void> keep();

  SessionSettings settings_;
  AccountFiles files_;
  SessionData data_;
  bool kept_ = true;  // whether the file says what data_ does
};

}  // namespace bobby::bluesky
