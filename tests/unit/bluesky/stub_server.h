#pragma once

#include <deque>
#include <filesystem>
#include <map>
#include <mutex>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "bluesky/session.h"
#include "bluesky/xrpc.h"

namespace bobby::bluesky {

/// What goes wrong with one request on its way.
enum class Fault {
  kNone,
  kNoConnection,    ///< nothing leaves
  kRequestLost,     ///< it leaves, and does not arrive
  kAnswerLost,      ///< it is done, and nothing comes back
  kAnswerGarbled,   ///< it is done, and half a page comes back
  kServerError,     ///< 500, nothing is done
  kDoneThenError,   ///< 500, and it is done
  kForeignRefusal,  ///< 403 of something in between
  kTooMany,         ///< 429, nothing is done
};

/// A server in memory with one account, as far as a PDS goes: sessions that run out and whose
/// refresh tokens rotate, records whose keys are used once (500 for a second create, as a real one
/// answers). Its clock is the test's.
class StubServer {
 public:
  static constexpr const char* kDid = "did:plc:ewvi7nxzyoun6zhxrhs64oiz";
  static constexpr const char* kUrl = "https://pds.example";
  static constexpr const char* kPassword = "abcd-efgh-ijkl-mnop";

  Transport transport();
  SessionSettings settings(const std::filesystem::path& folder);
  static Account account() { return {.did = kDid, .handle = "alice.example", .service = kUrl}; }

  /// The faults of the requests to come, of all or of one method.
  std::deque<Fault> faults;
  std::map<std::string, std::deque<Fault>> faults_of;
  std::vector<std::pair<std::string, std::string>> extra_headers;
  TimePoint now{std::chrono::seconds(1'764'345'600)};
  std::chrono::seconds clock_ahead{0};  ///< of the server's clock
  std::chrono::seconds token_life{7200};
  std::string status;  ///< "AccountDeactivated": what it says to every write
  std::string handle = "alice.example";

  std::map<std::string, nlohmann::json> records;  ///< by "collection/key"
  std::map<std::string, int> commits;             ///< how often a record was written, by that
  std::vector<std::string> asked;                 ///< methods, in order
  std::vector<net::Request> requests;
  int refreshes = 0;
  int logins = 0;

  nlohmann::json make_tokens();
  /// Nobody's session can be renewed any more.
  void revoke() { refresh_until_.clear(); }
  static std::string cid_of(const nlohmann::json& record);

 private:
  net::Exchange handle_request(const net::Request& request);
  net::Answer answer(const std::string& method, const net::Request& request);
  net::Answer session(const std::string& method, const net::Request& request,
                      const nlohmann::json& input);
  net::Answer write(const std::string& method, const nlohmann::json& input);
  net::Answer find(const std::string& url) const;

  std::mutex mutex_;  // of a request: they may come from several threads
  std::string access_;
  // Until when each is taken: for two hours more once it was used, since the answer may be lost.
  std::map<std::string, TimePoint> refresh_until_;
  TimePoint access_until_;
  int tokens_ = 0;
};

}  // namespace bobby::bluesky
