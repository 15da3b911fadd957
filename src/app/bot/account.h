#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "app/settings.h"
#include "base/result.h"
#include "bluesky/account_files.h"
#include "bluesky/facets.h"
#include "bluesky/repository.h"
#include "bluesky/session.h"
#include "bot/post_maker.h"
#include "http/backoff.h"
#include "http/client.h"

namespace bobby {

/// Where drafts and posts are kept: --drafts, or bobby.sqlite in bobby's state folder.
std::filesystem::path store_file(const Settings& settings);

/// The folder of all accounts, beside the store.
std::filesystem::path accounts_folder(const Settings& settings);

/// The session of the account to post as, as it is on the disk: --account's, or the only one.
/// kNotFound: nobody is logged in; kUsage: several are, or another than --account; kMalformed, kIo.
Result<bluesky::SessionData> chosen_session(const Settings& settings);

/// Fetches cards, once each and within ten seconds, from public addresses alone, unless the
/// account's own server is this machine's, as in a test. What goes wrong is told to `note`.
bot::CardOfPage card_fetcher(const bluesky::Account& account, const net::Watch& watch,
                             std::function<void(const std::string&)> note);

/// A session that has been ended.
struct LoggedOut {
  bluesky::Account account;  ///< its DID alone where the file could not be read
  /// Why its server does not know of that; nothing: the session is over there as well.
  std::optional<Error> not_told = {};
};

/// Ends chosen_session()'s session at the server, unless --offline, and removes its file, whatever
/// comes of the former; the file, too, of one that is named by its DID and cannot be read. What was
/// spent of the server's limits stays known. chosen_session()'s errors; kIo: it is still there.
Result<LoggedOut> log_out(const Settings& settings, const net::Watch& watch);

/// A Bluesky account that is logged in, and the way to its server. `watch` is called while
/// something is waited for, and may throw.
class BotAccount {
 public:
  /// chosen_session()'s account. kUsage with --offline.
  static Result<std::unique_ptr<BotAccount>> open(const Settings& settings,
                                                  const net::Watch& watch);
  /// Finds the account of a handle or DID and logs in: see bluesky::Session::log_in().
  static Result<std::unique_ptr<BotAccount>> log_in(const Settings& settings,
                                                    const std::string& who,
                                                    const std::string& password,
                                                    const net::Watch& watch);
  BotAccount(const BotAccount&) = delete;
  BotAccount& operator=(const BotAccount&) = delete;

  const bluesky::Account& account() const { return session_.account(); }
  bluesky::Session& session() { return session_; }
  bluesky::Repository& repository() { return repository_; }
  /// Asks the account's server. Valid while this is.
  bluesky::DidOfHandle did_of_handle();

 private:
  BotAccount(std::shared_ptr<net::Client> client, bluesky::Session session)
      : client_(std::move(client)), session_(std::move(session)), repository_(session_) {}

  std::shared_ptr<net::Client> client_;
  bluesky::Session session_;
  bluesky::Repository repository_;
};

}  // namespace bobby
