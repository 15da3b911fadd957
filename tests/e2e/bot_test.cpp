// `bobby bot`, as a person and a system see it: what it says when something is wrong, and that
// nothing is lost or told by that. The server answers from a script.

#include <sys/stat.h>
#include <utility>

#include "bot_fixture.h"

namespace bobby::e2e {
namespace {

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

}  // namespace
}  // namespace bobby::e2e
