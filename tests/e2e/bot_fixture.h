#pragma once

#include <chrono>
#include <filesystem>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "bluesky/account_files.h"
#include "bobby_process.h"
#include "store/draft_store.h"
#include "store/outbox.h"
#include "unit/http/scripted_server.h"

namespace bobby::e2e {

namespace fs = std::filesystem;
using net::answer;
using net::ScriptedServer;
using nlohmann::json;

inline constexpr const char* kDid = "did:plc:ewvi7nxzyoun6zhxrhs64oiz";
inline constexpr const char* kPassword = "abcd-efgh-ijkl-mnop";
inline constexpr const char* kCid = "bafyreihffx5a2e7k5uwrmmgofbvzujc5cmw5h4espouwuxt3liqoflx3ee";

// A second; a sanitizer looks for leaks before the end.
#ifdef __SANITIZE_ADDRESS__
inline constexpr std::chrono::milliseconds kEndsWithin{10'000};
#else
inline constexpr std::chrono::milliseconds kEndsWithin{1000};
#endif

inline std::string answer_json(int status, const json& body) {
  return answer(status, body.dump(), "Content-Type: application/json\r\n");
}

inline std::string created(const std::string& key) {
  return answer_json(
      200, {{"uri", std::string("at://") + kDid + "/app.bsky.feed.post/" + key}, {"cid", kCid}});
}

inline std::string refused(int status, const char* name, const char* message) {
  return answer_json(status, {{"error", name}, {"message", message}});
}

/// `bobby bot` over a store of its own, with an account that is logged in where a test wants that.
class Bot : public testing::Test {
 protected:
  Outcome run(std::vector<std::string> words, const std::string& input = {}) {
    words.insert(words.begin(), "bot");
    words.insert(words.end(), {"--drafts", store_.string()});
    return run_bobby(world_, words, input);
  }
  json run_json(std::vector<std::string> words) {
    words.emplace_back("--json");
    const Outcome outcome = run(words);
    EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
    return json::parse(outcome.out, nullptr, false);
  }

  /// As `bot login` leaves it.
  void log_in(const std::string& service) const {
    const fs::path folder = bluesky::account_folder(folder_.path() / "accounts", kDid);
    ASSERT_TRUE(bluesky::make_private_folder(folder));
    ASSERT_TRUE(bluesky::AccountFiles(folder).save(bluesky::SessionData{
        .account = {.did = kDid, .handle = "alice.test", .service = service},
        .access = "the-access-token",
        .refresh = "the-refresh-token",
        .good_until = std::chrono::system_clock::now() + std::chrono::hours(2)}));
  }
  std::int64_t draft(const std::string& text) const {
    return store::DraftStore::open(store_).value()->create({.text = text, .graphemes = 1})->id;
  }
  std::string approve(std::int64_t id) {
    return run_json({"approve", std::to_string(id)}).value("record_key", "");
  }
  store::OutboxPost post_of(std::int64_t draft) const {
    return store::Outbox::open(store_).value()->of_draft(draft)->value();
  }

  TemporaryFolder folder_;
  World world_{folder_.path()};
  fs::path store_ = folder_.path() / "bobby.sqlite";
};

inline store::Moment moment_ago(std::chrono::milliseconds time) {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  return std::chrono::duration_cast<std::chrono::milliseconds>(now - time).count();
}

inline bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

/// A server that creates whatever records it is asked to.
inline std::string take_record(const std::string& request) {
  const json asked = json::parse(request.substr(request.find("\r\n\r\n") + 4), nullptr, false);
  return created(asked.value("rkey", ""));
}

}  // namespace bobby::e2e
