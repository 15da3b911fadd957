// `bobby bot`, as a person and a system see it: what it says when something is wrong, and that
// nothing is lost or told by that. The server answers from a script.

#include <algorithm>
#include <filesystem>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>
#include <sys/resource.h>
#include <sys/stat.h>

#include "bluesky/account_files.h"
#include "bobby_process.h"
#include "store/draft_store.h"
#include "store/outbox.h"
#include "tiny_model.h"
#include "unit/http/scripted_server.h"

namespace bobby::e2e {
namespace {

namespace fs = std::filesystem;
using net::answer;
using net::ScriptedServer;
using nlohmann::json;

constexpr const char* kDid = "did:plc:ewvi7nxzyoun6zhxrhs64oiz";
constexpr const char* kPassword = "abcd-efgh-ijkl-mnop";
constexpr const char* kCid = "bafyreihffx5a2e7k5uwrmmgofbvzujc5cmw5h4espouwuxt3liqoflx3ee";

// A second; a sanitizer looks for leaks before the end.
#ifdef __SANITIZE_ADDRESS__
constexpr std::chrono::milliseconds kEndsWithin{10'000};
#else
constexpr std::chrono::milliseconds kEndsWithin{1000};
#endif

std::string answer_json(int status, const json& body) {
  return answer(status, body.dump(), "Content-Type: application/json\r\n");
}

std::string created(const std::string& key) {
  return answer_json(
      200, {{"uri", std::string("at://") + kDid + "/app.bsky.feed.post/" + key}, {"cid", kCid}});
}

std::string refused(int status, const char* name, const char* message) {
  return answer_json(status, {{"error", name}, {"message", message}});
}

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

store::Moment moment_ago(std::chrono::milliseconds time) {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  return std::chrono::duration_cast<std::chrono::milliseconds>(now - time).count();
}

bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

TEST_F(Bot, WithoutALoginItSaysHow) {
  const Outcome status = run({"status"});
  EXPECT_EQ(status.exit_code, 0) << status.err;
  EXPECT_TRUE(has(status.out, "nobody is logged in")) << status.out;
  for (const std::vector<std::string>& words :
       {std::vector<std::string>{"approve", "1"}, {"post"}, {"run", "--cron", "@daily"}}) {
    const Outcome outcome = run(words);
    EXPECT_EQ(outcome.exit_code, 1) << words[0];
    EXPECT_TRUE(has(outcome.err, "bot login")) << outcome.err;
  }
}

TEST_F(Bot, LogsInAndKeepsTheSessionPrivate) {
  ScriptedServer server(
      {answer_json(200, {{"did", kDid}}), answer_json(200, {{"did", kDid},
                                                            {"handle", "alice.test"},
                                                            {"accessJwt", "the-access-token"},
                                                            {"refreshJwt", "the-refresh-token"}})});
  const Outcome outcome =
      run({"login", "alice.test", "--service", server.url(), "--password-file", "-"},
          std::string(kPassword) + "\n");
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_TRUE(has(outcome.out, "logged in as alice.test")) << outcome.out;
  for (const char* secret : {kPassword, "the-access-token", "the-refresh-token"})
    EXPECT_FALSE(has(outcome.out + outcome.err, secret));
  struct stat file = {};
  const fs::path session =
      bluesky::account_folder(folder_.path() / "accounts", kDid) / "session.json";
  ASSERT_EQ(::stat(session.c_str(), &file), 0);
  EXPECT_EQ(file.st_mode & 0777, 0600u);
  EXPECT_FALSE(has(read_file(session), kPassword));
  const Outcome status = run({"status"});
  EXPECT_TRUE(has(status.out, "alice.test")) << status.out;
  EXPECT_FALSE(has(status.out, "the-access-token"));
}

TEST_F(Bot, LogsOutAndKeepsTheRest) {
  ScriptedServer server({answer(200, "")});
  const std::int64_t id = draft("stays approved");
  log_in(server.url());
  approve(id);
  const Outcome outcome = run({"logout"});
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_TRUE(has(outcome.out, "logged out of alice.test")) << outcome.out;
  EXPECT_EQ(outcome.err, "");
  ASSERT_EQ(server.connections(), 1);
  EXPECT_TRUE(has(server.requests()[0], "com.atproto.server.deleteSession"));
  EXPECT_TRUE(has(server.requests()[0], "Bearer the-refresh-token"));
  EXPECT_TRUE(has(run({"status"}).out, "nobody is logged in"));
  EXPECT_EQ(post_of(id).state, store::OutboxState::kApproved);
  const Outcome again = run({"logout"});
  EXPECT_EQ(again.exit_code, 1);
  EXPECT_TRUE(has(again.err, "nobody is logged in")) << again.err;
}

TEST_F(Bot, LogsOutWithoutTheServer) {
  for (const bool offline : {false, true}) {
    log_in("http://127.0.0.1:1");
    const Outcome outcome = run(offline ? std::vector<std::string>{"logout", "--offline"}
                                        : std::vector<std::string>{"logout"});
    EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
    EXPECT_TRUE(has(outcome.err, "its server was not told")) << outcome.err;
    EXPECT_FALSE(has(outcome.out + outcome.err, "-token"));
    EXPECT_FALSE(
        fs::exists(bluesky::account_folder(folder_.path() / "accounts", kDid) / "session.json"));
  }
}

TEST_F(Bot, AWrongPasswordIsSaidAndNotShown) {
  ScriptedServer server({answer_json(200, {{"did", kDid}}),
                         refused(401, "AuthenticationRequired", "Invalid identifier or password")});
  world_.variables["BOBBY_BLUESKY_PASSWORD"] = kPassword;
  const Outcome outcome = run({"login", "alice.test", "--service", server.url()});
  EXPECT_EQ(outcome.exit_code, 2);
  EXPECT_TRUE(has(outcome.err, "does not take this password")) << outcome.err;
  EXPECT_FALSE(has(outcome.err, kPassword));
  EXPECT_EQ(server.connections(), 2) << "a login is not repeated";
  const Outcome config = run_bobby(world_, {"config"});
  EXPECT_EQ(config.exit_code, 0) << config.err;
  EXPECT_FALSE(has(config.out, kPassword));
}

TEST_F(Bot, ApprovesShowsAndPostsADraft) {
  const std::int64_t id = draft("Grüße, see https://example.com/a-long-path-to-somewhere");
  log_in("http://127.0.0.1:1");
  const std::string key = approve(id);
  ASSERT_EQ(key.size(), 13u);
  const json dry = run_json({"post", std::to_string(id), "--dry-run", "--langs", "de"});
  EXPECT_EQ(dry["record_key"], key);
  EXPECT_EQ(dry["record"]["$type"], "app.bsky.feed.post");
  EXPECT_EQ(dry["record"]["langs"], json({"de"}));
  EXPECT_EQ(dry["record"]["facets"][0]["features"][0]["uri"],
            "https://example.com/a-long-path-to-somewhere");
  EXPECT_EQ(post_of(id).attempts, 0);

  ScriptedServer server({created(key)});
  log_in(server.url());
  const Outcome posted = run({"post", "--langs", "de"});
  EXPECT_EQ(posted.exit_code, 0) << posted.err;
  EXPECT_TRUE(has(posted.out, key)) << posted.out;
  EXPECT_EQ(post_of(id).state, store::OutboxState::kPosted);
  json sent = json::parse(post_of(id).record);
  json shown = dry["record"];
  for (json* record : {&sent, &shown}) record->erase("createdAt");
  EXPECT_EQ(sent, shown) << "the dry run showed what was sent";
  const Outcome again = run({"post", std::to_string(id)});
  EXPECT_EQ(again.exit_code, 0) << again.err;
  EXPECT_EQ(server.connections(), 1) << "it is not sent twice";
}

TEST_F(Bot, WhatBecameOfARequestIsLookedUp) {
  const std::int64_t id = draft("posted once");
  log_in("http://127.0.0.1:1");
  const std::string key = approve(id);
  const std::string uri = std::string("at://") + kDid + "/app.bsky.feed.post/" + key;
  ScriptedServer server({refused(500, "InternalServerError", "Internal Server Error"),
                         refused(400, "RecordNotFound", "Could not locate record"), created(key)});
  log_in(server.url());
  const Outcome posted = run({"post"});
  EXPECT_EQ(posted.exit_code, 0) << posted.err;
  ASSERT_EQ(server.requests().size(), 3u);
  EXPECT_TRUE(has(server.requests()[1], "getRecord"));
  EXPECT_TRUE(has(server.requests()[2], post_of(id).record)) << "the same record";
  EXPECT_EQ(post_of(id).uri, uri);
}

TEST_F(Bot, ADeactivatedAccountLosesNothing) {
  const std::int64_t id = draft("it waits");
  ScriptedServer server({refused(400, "AccountDeactivated", "Account is deactivated")});
  log_in(server.url());
  approve(id);
  const Outcome outcome = run({"post"});
  EXPECT_EQ(outcome.exit_code, 2) << outcome.err;
  EXPECT_TRUE(has(outcome.err, "deactivated")) << outcome.err;
  EXPECT_FALSE(has(outcome.err, "the-access-token"));
  EXPECT_EQ(post_of(id).state, store::OutboxState::kApproved);
  EXPECT_TRUE(has(run({"status"}).out, "problem")) << "a person sees it later, too";
}

TEST_F(Bot, ARejectedDraftStaysBack) {
  const std::int64_t id = draft("not me");
  log_in("http://127.0.0.1:1");
  approve(id);
  EXPECT_EQ(run({"reject", std::to_string(id), "--reason", "not how I talk"}).exit_code, 0);
  EXPECT_EQ(run({"post"}).exit_code, 1);
  const auto decisions = store::Outbox::open(store_).value()->decisions(1);
  EXPECT_EQ(decisions->front().reason, "not how I talk");
  const Outcome approved = run({"approve", std::to_string(id), "99"});
  EXPECT_NE(approved.exit_code, 0);
  EXPECT_TRUE(has(approved.err, "rejected already")) << approved.err;
  EXPECT_TRUE(has(approved.err, "draft 99")) << "both are named: " << approved.err;
}

TEST_F(Bot, WhatWasApprovedOnThePageIsPosted) {
  const std::int64_t id = draft("approved where no account is known");
  {
    const auto drafts = store::DraftStore::open(store_).value();
    ASSERT_TRUE(drafts->update(id, {.status = "approved"}));
  }
  log_in("http://127.0.0.1:1");
  EXPECT_EQ(run_json({"post", "--dry-run"})["record_key"], nullptr) << "it has none yet";
  EXPECT_FALSE(store::Outbox::open(store_).value()->of_draft(id)->has_value());
  ScriptedServer asleep({refused(400, "AccountDeactivated", "Account is deactivated")});
  log_in(asleep.url());
  EXPECT_EQ(run({"post", std::to_string(id)}).exit_code, 2);
  ScriptedServer server({created(post_of(id).record_key)});
  log_in(server.url());
  const Outcome posted = run({"post", std::to_string(id)});
  EXPECT_EQ(posted.exit_code, 0) << posted.err;
  EXPECT_EQ(post_of(id).state, store::OutboxState::kPosted);
}

TEST_F(Bot, AReviewShowsWhyADraftWasRejected) {
  const std::int64_t id = draft("not me");
  log_in("http://127.0.0.1:1");
  EXPECT_EQ(run({"reject", std::to_string(id), "--reason", "not how I talk"}).exit_code, 0);
  const Outcome outcome = run({"review", std::to_string(id)}, "q\n");
  EXPECT_TRUE(has(outcome.out, ": not how I talk")) << outcome.out;
}

TEST_F(Bot, AReviewWithoutATerminalReadsLines) {
  for (const char* text : {"one of three", "two of three", "three of three"}) draft(text);
  log_in("http://127.0.0.1:1");
  world_.variables["EDITOR"] = "printf edited >";
  const Outcome outcome = run({"review"}, "a\nr\nnot me\ne\na\n");
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_TRUE(has(outcome.out, "2 approved, 1 rejected, 1 edited, 0 skipped")) << outcome.out;
  EXPECT_EQ(post_of(3).text, "edited");
}

TEST_F(Bot, ADaemonEndsWithinASecond) {
  log_in("http://127.0.0.1:1");
  const Outcome outcome = interrupt_bobby(
      world_, {"bot", "run", "--cron", "@daily", "--zone", "UTC", "--drafts", store_.string()},
      std::chrono::seconds(20));
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_TRUE(has(outcome.out, "ends")) << outcome.out;
  EXPECT_LT(outcome.after_signal, kEndsWithin);
  EXPECT_TRUE(store::Outbox::open(store_)
                  .value()
                  ->hold_lease(std::string("bot ") + kDid, "next", 0, 1)
                  .value())
      << "the next one need not wait";
}

/// A server that creates whatever records it is asked to.
std::string take_record(const std::string& request) {
  const json asked = json::parse(request.substr(request.find("\r\n\r\n") + 4), nullptr, false);
  return created(asked.value("rkey", ""));
}

/// What a random model must be asked for to write texts that may be posted.
const std::vector<std::string> kTinyVoice = {"--model",      "tiny", "--max-tokens", "30",
                                             "--candidates", "2",    "--min-chars",  "1"};

std::vector<std::string> joined(std::vector<std::string> words,
                                const std::vector<std::string>& more) {
  words.insert(words.end(), more.begin(), more.end());
  return words;
}

TEST_F(Bot, DraftsAreWrittenAhead) {
  ASSERT_EQ(make_tiny_model(world_).exit_code, 0);
  log_in("http://127.0.0.1:1");
  const auto words =
      joined({"run", "--once", "--cron", "@daily", "--drafts-ahead", "3"}, kTinyVoice);
  const Outcome outcome = run(words);
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_TRUE(has(outcome.out, "3 drafts were written")) << outcome.out << outcome.err;
  const auto drafts = store::DraftStore::open(store_).value();
  EXPECT_EQ(drafts->list({.status = "draft"})->total, 3) << "nobody has approved them";
  ASSERT_TRUE(drafts->update(1, {.status = "rejected"}));
  EXPECT_TRUE(has(run(words).out, "1 draft was written"));
  EXPECT_FALSE(has(run(words).out, "written")) << "there are enough";
}

TEST_F(Bot, PostsUnseenWhereThatIsAskedFor) {
  ASSERT_EQ(make_tiny_model(world_).exit_code, 0);
  ScriptedServer server(take_record);
  log_in(server.url());
  const auto a_time_has_come = [&] {
    const auto outbox = store::Outbox::open(store_).value();
    EXPECT_TRUE(outbox->handle_until(kDid, moment_ago(std::chrono::minutes(1))));
  };
  const auto words =
      joined({"run", "--once", "--cron", "* * * * *", "--hourly-cap", "1"}, kTinyVoice);
  a_time_has_come();
  EXPECT_TRUE(has(run(words).out, "no draft was approved"));
  EXPECT_EQ(server.connections(), 0) << "not by itself";
  TemporaryFolder another;
  store_ = another.path() / "bobby.sqlite";
  fs::copy(folder_.path() / "accounts", another.path() / "accounts", fs::copy_options::recursive);
  a_time_has_come();
  const Outcome outcome = run(joined(words, {"--auto-post"}));
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_TRUE(has(outcome.out, "waits for a draft that is being written")) << outcome.out;
  EXPECT_TRUE(has(outcome.out, "draft 1 was posted")) << outcome.out << outcome.err;
  EXPECT_EQ(post_of(1).state, store::OutboxState::kPosted);
  EXPECT_EQ(server.connections(), 1);
}

TEST_F(Bot, PostsGoOutWhileDraftsAreWritten) {
  // A download that never comes: whoever writes waits for it.
  ScriptedServer hub({std::string()});
  world_.variables["HF_ENDPOINT"] = hub.url();
  int requests = 0;
  ScriptedServer server([&](const std::string& request) {
    if (++requests == 1) return refused(500, "InternalServerError", "Internal Server Error");
    if (requests == 2) return refused(400, "RecordNotFound", "Could not locate record");
    return take_record(request);
  });
  const std::int64_t id = draft("posted at the second try");
  log_in(server.url());
  approve(id);
  ASSERT_TRUE(
      store::Outbox::open(store_).value()->handle_until(kDid, moment_ago(std::chrono::minutes(1))));
  const Outcome outcome =
      interrupt_bobby(world_,
                      {"bot", "run", "--cron", "* * * * *", "--drafts-ahead", "2", "--model",
                       "someone/a-voice", "--drafts", store_.string()},
                      std::chrono::seconds(60), "was posted: at://");
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_TRUE(has(outcome.out, "is not known")) << outcome.out;
  EXPECT_TRUE(has(outcome.out, "ends")) << outcome.out;
  EXPECT_GT(hub.connections(), 0) << "it was writing";
  EXPECT_FALSE(has(outcome.out, "written"));
  EXPECT_LT(outcome.after_signal, kEndsWithin);
  EXPECT_EQ(post_of(id).state, store::OutboxState::kPosted);
}

TEST_F(Bot, EndsWithinASecondWhileItWrites) {
  ASSERT_EQ(make_tiny_model(world_).exit_code, 0);
  log_in("http://127.0.0.1:1");
  const Outcome outcome = interrupt_bobby(
      world_,
      {"bot", "run", "--cron", "@daily", "--drafts-ahead", "10", "--model", "tiny", "--candidates",
       "100", "--max-tokens", "900", "--char-limit", "3000", "--drafts", store_.string()},
      std::chrono::milliseconds(1500), "written");
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_FALSE(has(outcome.out, "written")) << outcome.out;
  EXPECT_TRUE(has(outcome.out, "ends")) << outcome.out;
  EXPECT_LT(outcome.after_signal, kEndsWithin);
}

TEST_F(Bot, WhatCannotBeWrittenKeepsNothingBack) {
  log_in("http://127.0.0.1:1");
  const Outcome outcome =
      run({"run", "--once", "--cron", "@daily", "--drafts-ahead", "1", "--model", "not-there"});
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_TRUE(has(outcome.out, "no drafts were written: ")) << outcome.out;
}

TEST_F(Bot, AClockThatWasAheadIsNamedAndResumedFrom) {
  ScriptedServer server(take_record);
  log_in(server.url());
  const std::int64_t id = draft("posted in spite of it");
  approve(id);
  {
    const auto outbox = store::Outbox::open(store_).value();
    ASSERT_TRUE(outbox->handle_until(kDid, moment_ago(-std::chrono::hours(9000))));
    ASSERT_TRUE(outbox->set_pause(
        kDid, {.until = moment_ago(-std::chrono::minutes(4)), .reason = "it was deactivated"}));
  }
  const std::vector<std::string> once = {"run", "--once", "--cron", "* * * * *"};
  const Outcome silent = run(once);
  EXPECT_TRUE(has(silent.out, "nothing goes out before")) << silent.out;
  EXPECT_TRUE(has(silent.out, "`bobby bot resume`")) << silent.out;
  const Outcome status = run({"status"});
  EXPECT_TRUE(has(status.out, "silent    nothing goes out before")) << status.out;
  EXPECT_TRUE(has(status.out, "it was deactivated")) << status.out;
  EXPECT_EQ(server.connections(), 0);

  const Outcome resumed = run({"resume"});
  EXPECT_EQ(resumed.exit_code, 0) << resumed.err;
  EXPECT_TRUE(has(resumed.out, "it was deactivated")) << resumed.out;
  EXPECT_TRUE(has(resumed.out, "alice.test goes on")) << resumed.out;
  EXPECT_FALSE(has(run({"status"}).out, "silent"));
  EXPECT_TRUE(has(run({"resume"}).out, "nothing stood in its way"));
  EXPECT_EQ(post_of(id).state, store::OutboxState::kApproved) << "at its time, not before";
}

/// Bluesky's own drafts, of one account; `faults` are the answers to the next creations in place of
/// what is right, which is done all the same where `arrives`.
class RemoteDrafts {
 public:
  std::string reply(const std::string& request) {
    if (has(request, "app.bsky.draft.getDrafts")) return answer_json(200, {{"drafts", drafts_}});
    if (!has(request, "app.bsky.draft.createDraft"))
      return refused(501, "MethodNotImplemented", "Method Not Implemented");
    const json draft = json::parse(request.substr(request.find("\r\n\r\n") + 4))["draft"];
    const std::string id = "3lq7wvfkyz22" + std::to_string(2 + drafts_.size());
    if (!fails || arrives) drafts_.push_back({{"id", id}, {"draft", draft}});
    if (std::exchange(fails, false)) return refused(502, "UpstreamFailure", "Upstream Failure");
    return answer_json(200, {{"id", id}});
  }
  std::size_t count() const { return drafts_.size(); }

  bool fails = false;
  bool arrives = false;

 private:
  json drafts_ = json::array();
};

TEST_F(Bot, SendsDraftsToBlueskysOwn) {
  RemoteDrafts remote;
  ScriptedServer server([&](const std::string& request) { return remote.reply(request); });
  log_in(server.url());
  const std::string first = std::to_string(draft("for the phone, @bob.test"));
  const std::string second = std::to_string(draft("approved before"));
  approve(std::stoll(second));
  const Outcome outcome = run({"send", first, second});
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_TRUE(has(outcome.out, "among the drafts of alice.test")) << outcome.out;
  EXPECT_EQ(remote.count(), 2u);
  EXPECT_FALSE(has(server.requests()[1], "bob.test")) << "names are taken out, as in a post";
  const Outcome again = run({"send", first});
  EXPECT_EQ(again.exit_code, 2);
  EXPECT_TRUE(has(again.err, "was sent already")) << again.err;
  EXPECT_EQ(remote.count(), 2u);
  for (const std::string& id : {first, second})
    EXPECT_NE(run({"approve", id}).exit_code, 0) << "the bot does not post it as well";
  EXPECT_TRUE(has(run({"post"}).err, "nothing is approved"));
}

TEST_F(Bot, ALostAnswerSendsNoDraftTwice) {
  RemoteDrafts remote;
  ScriptedServer server([&](const std::string& request) { return remote.reply(request); });
  log_in(server.url());
  for (const bool arrives : {true, false}) {
    const std::size_t before = remote.count();
    const std::string id = std::to_string(draft(arrives ? "it arrives" : "it does not"));
    remote.fails = true;
    remote.arrives = arrives;
    const Outcome outcome = run({"send", id});
    EXPECT_EQ(outcome.exit_code, arrives ? 0 : 1) << outcome.err;
    if (!arrives) {
      EXPECT_TRUE(has(outcome.err, "may or may not have arrived")) << outcome.err;
      EXPECT_NE(run({"approve", id}).exit_code, 0) << "while nobody knows";
      const Outcome later = run({"send", id});
      EXPECT_EQ(later.exit_code, 0) << later.err;
    }
    EXPECT_EQ(remote.count(), before + 1);
  }
}

TEST_F(Bot, AServerWithoutDraftsIsNamed) {
  ScriptedServer server([](const std::string&) {
    return refused(501, "MethodNotImplemented", "Method Not Implemented");
  });
  log_in(server.url());
  const std::int64_t id = draft("stays here");
  const Outcome outcome = run({"send", std::to_string(id)});
  EXPECT_EQ(outcome.exit_code, 1);
  EXPECT_TRUE(has(outcome.err, "has no drafts")) << outcome.err;
  EXPECT_FALSE(approve(id).empty()) << "as before";
}

TEST_F(Bot, APostShowsThePageItLeadsTo) {
  ScriptedServer page({answer(200, "<title>A page</title><meta name=description content='Of tea'>",
                              "Content-Type: text/html\r\n")});
  ScriptedServer server(take_record);
  log_in(server.url());
  const std::int64_t id = draft("Read " + page.url() + "/tea and https://example.com/other");
  approve(id);
  EXPECT_EQ(page.connections(), 0);
  const Outcome plain = run({"post", "--dry-run"});
  EXPECT_FALSE(has(plain.out, "embed")) << "off unless asked for";
  const Outcome posted = run({"post", "--card"});
  EXPECT_EQ(posted.exit_code, 0) << posted.err;
  EXPECT_EQ(page.connections(), 1);
  const json record = json::parse(post_of(id).record);
  EXPECT_EQ(record["embed"]["external"],
            (json{{"uri", page.url() + "/tea"}, {"title", "A page"}, {"description", "Of tea"}}));
}

TEST_F(Bot, APostGoesWithoutACardWhereThePageIsAway) {
  ScriptedServer server(take_record);
  log_in(server.url());
  const std::int64_t id = draft("Read http://127.0.0.1:1/tea");
  approve(id);
  const Outcome posted = run({"post", "--card"});
  EXPECT_EQ(posted.exit_code, 0) << posted.err;
  EXPECT_TRUE(has(posted.err, "goes without a card: http://127.0.0.1:1/tea")) << posted.err;
  EXPECT_FALSE(has(post_of(id).record, "embed"));
}

TEST_F(Bot, ACardIsNeverFetchedFromAPrivateAddress) {
  ScriptedServer page({answer(200, "<title>An inner page</title>")});
  log_in("https://pds.invalid");
  const std::string port = page.url().substr(page.url().rfind(':'));
  for (const std::string& host : {std::string("127.0.0.1"), std::string("localhost"),
                                  std::string("[::ffff:127.0.0.1]"), std::string("2130706433")}) {
    const std::int64_t id = draft("Read https://" + host + port + "/secret");
    const Outcome shown = run({"post", std::to_string(id), "--dry-run", "--card"});
    EXPECT_EQ(shown.exit_code, 0) << shown.err;
    EXPECT_FALSE(has(shown.out, "embed")) << shown.out;
  }
  EXPECT_EQ(page.connections(), 0);
}

TEST_F(Bot, ASecondDaemonWaitsForItsTurn) {
  log_in("http://127.0.0.1:1");
  const std::vector<std::string> words = {"run", "--once", "--cron", "@daily", "--zone", "UTC"};
  {
    const auto lock = bluesky::FileLock::take(
        bluesky::account_folder(folder_.path() / "accounts", kDid) / "daemon.lock");
    ASSERT_TRUE(lock && *lock);
    EXPECT_TRUE(has(run(words).out, "another daemon")) << "one on this machine";
  }
  EXPECT_FALSE(has(run(words).out, "another daemon"));
  const store::Moment now = moment_ago(std::chrono::milliseconds(0));
  ASSERT_TRUE(store::Outbox::open(store_)
                  .value()
                  ->hold_lease(std::string("bot ") + kDid, "another machine", now, now + 90'000)
                  .value());
  const Outcome outcome = run(words);
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_TRUE(has(outcome.out, "another daemon")) << outcome.out;
}

TEST_F(Bot, ADaemonThatWasKilledIsFollowedAtOnce) {
  log_in("http://127.0.0.1:1");
  kill_bobby(world_,
             {"bot", "run", "--cron", "@daily", "--zone", "UTC", "--drafts", store_.string()},
             std::chrono::seconds(1));
  const Outcome outcome = run({"run", "--once", "--cron", "@daily", "--zone", "UTC"});
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_FALSE(has(outcome.out, "another daemon")) << outcome.out;
}

TEST_F(Bot, ADryRunOfTheDaemonShowsWhatIsToCome) {
  const std::int64_t id = draft("the next one");
  log_in("http://127.0.0.1:1");
  approve(id);
  const Outcome outcome =
      run({"run", "--dry-run", "--cron", "30 8 * * *", "--zone", "Europe/Zurich"});
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_TRUE(has(outcome.out, " 08:30  (")) << outcome.out;
  EXPECT_TRUE(has(outcome.out, "\"the next one\"")) << outcome.out;
  EXPECT_EQ(post_of(id).state, store::OutboxState::kApproved);
}

TEST_F(Bot, AScheduleThatIsNoneIsNamed) {
  log_in("http://127.0.0.1:1");
  EXPECT_EQ(run({"run"}).exit_code, 2) << "no time is given";
  EXPECT_EQ(run({"run", "--cron", "61 * * * *"}).exit_code, 2);
  write_file(folder_.path() / "bobby.toml", "[bot]\nper_day = 2\nwindow = [\"08:00-09:00\"]\n");
  const Outcome outcome = run({"status"});
  EXPECT_EQ(outcome.exit_code, 2);
  EXPECT_TRUE(has(outcome.err, "did you mean bot.windows?")) << outcome.err;
}

/// As a disk with room for so many bytes a file, for processes that are started meanwhile.
class SmallDisk {
 public:
  explicit SmallDisk(rlim_t bytes) {
    ::getrlimit(RLIMIT_FSIZE, &before_);
    const rlimit small = {bytes, before_.rlim_max};
    ::setrlimit(RLIMIT_FSIZE, &small);
  }
  ~SmallDisk() { ::setrlimit(RLIMIT_FSIZE, &before_); }
  SmallDisk(const SmallDisk&) = delete;
  SmallDisk& operator=(const SmallDisk&) = delete;

 private:
  rlimit before_ = {};
};

TEST_F(Bot, AFullDiskLosesNothing) {
  const std::int64_t id = draft("it waits for room");
  log_in("http://127.0.0.1:1");
  {
    const SmallDisk disk(4096);
    const Outcome outcome = run({"approve", std::to_string(id)});
    EXPECT_EQ(outcome.exit_code, 1);
    EXPECT_TRUE(has(outcome.err, store_.string())) << outcome.err;
  }
  EXPECT_FALSE(approve(id).empty());
}

TEST_F(Bot, ADamagedStoreIsNamedAndNotTouched) {
  log_in("http://127.0.0.1:1");
  std::string garbage(8192, 'x');
  write_file(store_, garbage);
  for (const std::vector<std::string>& words :
       {std::vector<std::string>{"status"}, {"approve", "1"}, {"run", "--cron", "@daily"}}) {
    const Outcome outcome = run(words);
    EXPECT_EQ(outcome.exit_code, 1) << words[0] << ": " << outcome.err;
    EXPECT_TRUE(has(outcome.err, store_.string())) << outcome.err;
  }
  EXPECT_EQ(read_file(store_), garbage);
}

TEST_F(Bot, ABackupHoldsEverything) {
  log_in("http://127.0.0.1:1");
  const std::int64_t id = draft("kept twice");
  const std::string key = approve(id);
  const fs::path copy = folder_.path() / "copies" / "bobby.sqlite";
  const Outcome outcome = run({"backup", copy.string()});
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_TRUE(has(outcome.out, copy.string())) << outcome.out;
  struct stat file = {};
  ASSERT_EQ(::stat(copy.c_str(), &file), 0);
  EXPECT_EQ(file.st_mode & 0777, 0600u);
  EXPECT_EQ(store::Outbox::open(copy).value()->of_draft(id)->value().record_key, key);
  EXPECT_EQ(read_file(copy).find("the-refresh-token"), std::string::npos);
  const Outcome again = run({"backup", copy.string()});
  EXPECT_EQ(again.exit_code, 2);
  EXPECT_TRUE(has(again.err, "exists already")) << again.err;
  store_ = copy;
  const Outcome checked = run({"check"});
  EXPECT_EQ(checked.exit_code, 0) << checked.err;
  EXPECT_TRUE(has(checked.out, "is whole, with 1 draft")) << checked.out;
}

TEST_F(Bot, ABackupThatHasNoRoomLeavesNothing) {
  for (int i = 0; i < 50; ++i) draft(std::string(1000, 'x'));
  const fs::path copy = folder_.path() / "copy.sqlite";
  {
    // More than what opening a store writes beside it, and less than the copy.
    const SmallDisk disk(40'000);
    const Outcome outcome = run({"backup", copy.string()});
    EXPECT_EQ(outcome.exit_code, 1);
    EXPECT_TRUE(has(outcome.err, copy.string())) << outcome.err;
    EXPECT_FALSE(has(outcome.err, store_.string())) << "it is the copy that has no room";
  }
  for (const auto& entry : fs::directory_iterator(folder_.path()))
    EXPECT_FALSE(has(entry.path().filename().string(), "copy.sqlite")) << entry.path();
  EXPECT_EQ(run({"check"}).exit_code, 0);
}

TEST_F(Bot, ACheckOfNoStoreMakesNone) {
  for (const std::vector<std::string>& words :
       {std::vector<std::string>{"check"}, {"backup", "copy.sqlite"}}) {
    const Outcome outcome = run(words);
    EXPECT_EQ(outcome.exit_code, 1);
    EXPECT_TRUE(has(outcome.err, store_.string() + ": is not there")) << outcome.err;
  }
  EXPECT_FALSE(fs::exists(store_));
}

TEST_F(Bot, ACheckFindsWhatIsDamaged) {
  for (int i = 0; i < 100; ++i) draft(std::string(500, 'x') + std::to_string(i));
  std::string bytes = read_file(store_);
  ASSERT_GT(bytes.size(), 30'000u);
  std::fill(bytes.begin() + 20'480, bytes.begin() + 24'576, '\x5a');
  write_file(store_, bytes);
  for (const std::vector<std::string>& words :
       {std::vector<std::string>{"check"}, {"backup", "copy.sqlite"}}) {
    const Outcome outcome = run(words);
    EXPECT_EQ(outcome.exit_code, 1);
    EXPECT_TRUE(has(outcome.err, store_.string() + ": is damaged")) << outcome.err;
    EXPECT_TRUE(has(outcome.err, "put a backup in its place")) << outcome.err;
  }
  EXPECT_FALSE(fs::exists(folder_.path() / "copy.sqlite"));
}

}  // namespace
}  // namespace bobby::e2e
