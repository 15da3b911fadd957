// Sessions: kept, renewed in time and by one at a time, and never a login to no purpose.

#include "bluesky/session.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <thread>
#include <unistd.h>

#include "bluesky/token.h"
#include "unit/bluesky/account_folder_fixture.h"
#include "unit/bluesky/stub_server.h"

namespace bobby::bluesky {
namespace {

using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;

class SessionTest : public AccountFolderTest {
 protected:
  Result<Session> log_in(bool again = false, const std::string& password = StubServer::kPassword) {
    return Session::log_in(server_.settings(folder_), StubServer::account(), {.password = password},
                           again);
  }
  Session opened() {
    auto session = Session::open(server_.settings(folder_));
    EXPECT_TRUE(session) << session.error().to_string();
    return *std::move(session);
  }
  static XrpcReply write(Session& session) {
    return session.call({.method = "com.atproto.repo.putRecord",
                         .input = {{"collection", "a.b.c"}, {"rkey", "k"}, {"record", {{"n", 1}}}}},
                        Spending::kUpdate);
  }

  StubServer server_;
};

TEST_F(SessionTest, IsKeptInAFileOfItsOwnersAlone) {
  const auto session = log_in();
  ASSERT_TRUE(session) << session.error().to_string();
  EXPECT_EQ(session->account().did, StubServer::kDid);
  for (const char* name : {"session.json", "budget.json", "lock"}) {
    struct stat status = {};
    ASSERT_EQ(::stat((folder_ / name).c_str(), &status), 0) << name;
    EXPECT_EQ(status.st_mode & 0777, 0600U) << name;
  }
  EXPECT_EQ(text_of_file("session.json").find(StubServer::kPassword), std::string::npos);
  Session again = opened();
  EXPECT_EQ(write(again).verdict.outcome, Outcome::kDone);
  EXPECT_EQ(server_.asked, (std::vector<std::string>{"createSession", "putRecord"}));
  EXPECT_EQ(logged_in_accounts(folder_.parent_path()), std::vector<std::string>{StubServer::kDid});
}

TEST_F(SessionTest, IsRenewedBeforeItRunsOut) {
  ASSERT_TRUE(log_in());
  Session session = opened();
  server_.now += minutes(118);
  EXPECT_EQ(write(session).verdict.outcome, Outcome::kDone);
  EXPECT_EQ(server_.refreshes, 0);
  server_.now += minutes(1) + seconds(1);
  EXPECT_EQ(write(session).verdict.outcome, Outcome::kDone);
  EXPECT_EQ(server_.refreshes, 1);
  EXPECT_EQ(server_.asked.size(), 4U);
  EXPECT_EQ(server_.requests[2].body, "");
  // What rotated is on the disk.
  Session again = opened();
  server_.now += hours(3);
  EXPECT_EQ(write(again).verdict.outcome, Outcome::kDone);
  EXPECT_EQ(write(session).verdict.outcome, Outcome::kDone);
  EXPECT_EQ(server_.refreshes, 2);
  EXPECT_EQ(server_.logins, 1);
}

TEST_F(SessionTest, TheServersClockMayBeAnother) {
  for (const auto ahead : {hours(-48), hours(48)}) {
    server_.clock_ahead = ahead;
    ASSERT_TRUE(log_in(true));
    Session session = opened();
    server_.refreshes = 0;
    for (int i = 0; i < 3; ++i) EXPECT_EQ(write(session).verdict.outcome, Outcome::kDone);
    EXPECT_EQ(server_.refreshes, 0);
    server_.now += hours(2);
    EXPECT_EQ(write(session).verdict.outcome, Outcome::kDone);
    EXPECT_EQ(server_.refreshes, 1);
  }
}

TEST_F(SessionTest, OfWhichTheServerThinksThatItRanOutIsRenewedOnce) {
  ASSERT_TRUE(log_in());
  Session session = opened();
  server_.clock_ahead = hours(5);  // set forward since
  EXPECT_EQ(write(session).verdict.outcome, Outcome::kDone);
  EXPECT_EQ(server_.asked, (std::vector<std::string>{"createSession", "putRecord", "refreshSession",
                                                     "putRecord"}));
  EXPECT_EQ(server_.commits["a.b.c/k"], 1);
}

TEST_F(SessionTest, OneRefreshForAllThatNeedIt) {
  ASSERT_TRUE(log_in());
  server_.now += hours(3);
  std::vector<Session> sessions;
  for (int i = 0; i < 4; ++i) sessions.push_back(opened());
  for (Session& session : sessions) EXPECT_EQ(write(session).verdict.outcome, Outcome::kDone);
  EXPECT_EQ(server_.refreshes, 1);
}

TEST_F(SessionTest, OneRefreshAlsoWhenAllNeedItAtOnce) {
  ASSERT_TRUE(log_in());
  server_.now += hours(3);
  std::vector<Session> sessions;
  for (int i = 0; i < 8; ++i) sessions.push_back(opened());
  std::vector<Outcome> outcomes(sessions.size());
  std::vector<std::thread> threads;
  for (std::size_t i = 0; i < sessions.size(); ++i)
    threads.emplace_back([&, i] { outcomes[i] = write(sessions[i]).verdict.outcome; });
  for (std::thread& thread : threads) thread.join();
  for (const Outcome outcome : outcomes) EXPECT_EQ(outcome, Outcome::kDone);
  EXPECT_EQ(server_.refreshes, 1);
}

TEST_F(SessionTest, ALostRefreshLosesNothing) {
  ASSERT_TRUE(log_in());
  Session session = opened();
  server_.now += hours(3);
  for (const Fault fault : {Fault::kNoConnection, Fault::kServerError, Fault::kRequestLost,
                            Fault::kForeignRefusal, Fault::kTooMany}) {
    server_.faults = {fault};
    const XrpcReply reply = write(session);
    EXPECT_EQ(reply.verdict.outcome, Outcome::kLater);
    EXPECT_FALSE(reply.verdict.needs_person) << reply.verdict.error.to_string();
  }
  EXPECT_EQ(server_.commits["a.b.c/k"], 0);
  EXPECT_EQ(write(session).verdict.outcome, Outcome::kDone);
}

TEST_F(SessionTest, WhoseRefreshTokenIsNotTakenNeedsAPerson) {
  ASSERT_TRUE(log_in());
  Session session = opened();
  server_.revoke();
  server_.now += hours(3);
  const XrpcReply reply = write(session);
  EXPECT_EQ(reply.verdict.outcome, Outcome::kLater);
  EXPECT_TRUE(reply.verdict.needs_person);
  EXPECT_NE(reply.verdict.error.to_string().find("log in again"), std::string::npos);
  // A login in another process mends it, without a new start of this one.
  ASSERT_TRUE(log_in());
  EXPECT_EQ(write(session).verdict.outcome, Outcome::kDone);
}

TEST_F(SessionTest, ALoginIsNotRepeatedWhereARefreshWillDo) {
  ASSERT_TRUE(log_in());
  ASSERT_TRUE(log_in());
  EXPECT_EQ(server_.asked, (std::vector<std::string>{"createSession", "refreshSession"}));
  ASSERT_TRUE(log_in(true));
  EXPECT_EQ(server_.logins, 2);
  server_.faults = {Fault::kNoConnection};
  EXPECT_FALSE(log_in());
  EXPECT_EQ(server_.logins, 2);
}

TEST_F(SessionTest, LoginsAreFewWhateverComesOfThem) {
  for (int i = 0; i < 5; ++i) {
    const auto session = log_in(false, "wrong-password");
    ASSERT_FALSE(session);
    EXPECT_EQ(session.error().code, ErrorCode::kUsage);
    const std::string text = session.error().to_string();
    EXPECT_NE(text.find("does not take this password"), std::string::npos) << text;
    EXPECT_EQ(text.find("wrong-password"), std::string::npos) << text;
  }
  const auto sixth = log_in();
  ASSERT_FALSE(sixth);
  EXPECT_EQ(sixth.error().code, ErrorCode::kBusy);
  EXPECT_EQ(server_.asked.size(), 5U);
  server_.now += minutes(6);
  EXPECT_TRUE(log_in());
}

TEST_F(SessionTest, AskedForPatienceItIsPatient) {
  ASSERT_TRUE(log_in());
  Session session = opened();
  server_.faults = {Fault::kTooMany};
  const XrpcReply many = write(session);
  EXPECT_EQ(many.verdict.outcome, Outcome::kLater);
  EXPECT_EQ(many.verdict.not_before, server_.now + seconds(90));
  // Another process knows of it as well, and asks nothing.
  Session other = opened();
  const auto asked = server_.asked.size();
  const XrpcReply held = write(other);
  EXPECT_EQ(held.verdict.outcome, Outcome::kLater);
  EXPECT_EQ(held.verdict.not_before, server_.now + seconds(90));
  EXPECT_EQ(server_.asked.size(), asked);
  server_.now += seconds(90);
  EXPECT_EQ(write(other).verdict.outcome, Outcome::kDone);
  server_.extra_headers = {{"RateLimit-Remaining", "1"},
                           {"RateLimit-Reset", std::to_string(1'764'345'600 + 600)}};
  EXPECT_EQ(write(session).verdict.outcome, Outcome::kDone);
  EXPECT_EQ(write(session).verdict.not_before, TimePoint(seconds(1'764'345'600 + 600)));
}

TEST_F(SessionTest, OnAFullDiskNothingIsSent) {
  ASSERT_TRUE(log_in());
  Session session = opened();
  if (::geteuid() == 0) {
    // Nothing stops the superuser from writing; a folder in the file's place does.
    std::filesystem::remove(folder_ / "budget.json");
    std::filesystem::create_directories(folder_ / "budget.json" / "x");
  } else {
    std::filesystem::permissions(
        folder_, std::filesystem::perms::owner_read | std::filesystem::perms::owner_exec);
  }
  const auto asked = server_.asked.size();
  const XrpcReply reply = write(session);
  EXPECT_EQ(reply.verdict.outcome, Outcome::kLater);
  EXPECT_EQ(server_.asked.size(), asked);
  std::filesystem::permissions(folder_, std::filesystem::perms::owner_all);
  std::filesystem::remove_all(folder_ / "budget.json");
  EXPECT_EQ(write(session).verdict.outcome, Outcome::kDone);
}

TEST_F(SessionTest, DamagedOrOpenFilesAreSaid) {
  EXPECT_EQ(Session::open(server_.settings(folder_)).error().code, ErrorCode::kNotFound);
  ASSERT_TRUE(log_in());
  const std::string good = text_of_file("session.json");
  for (const std::string& bad :
       {std::string(), std::string("{"), std::string("[]"), good.substr(0, good.size() / 2),
        std::string(R"({"did":"did:plc:x","service":"https://a.b","access":"a","refresh":"b"})")}) {
    write_file("session.json", bad);
    const auto session = Session::open(server_.settings(folder_));
    ASSERT_FALSE(session);
    EXPECT_EQ(session.error().code, ErrorCode::kMalformed) << session.error().to_string();
  }
  write_file("session.json", good);
  ::chmod((folder_ / "session.json").c_str(), 0644);
  const auto open_to_all = Session::open(server_.settings(folder_));
  ASSERT_FALSE(open_to_all);
  EXPECT_NE(open_to_all.error().to_string().find("chmod 600"), std::string::npos);
  ::chmod((folder_ / "session.json").c_str(), 0600);
  write_file("budget.json", "damaged");
  Session session = opened();
  EXPECT_EQ(write(session).verdict.outcome, Outcome::kDone);
}

TEST_F(SessionTest, AnotherAccountsSessionIsNotTaken) {
  ASSERT_TRUE(log_in());
  Account other = StubServer::account();
  other.did = "did:plc:aaaaaaaaaaaaaaaaaaaaaaaa";
  const auto session =
      Session::log_in(server_.settings(folder_), other, {.password = StubServer::kPassword});
  EXPECT_FALSE(session);
}

TEST_F(SessionTest, AHandleThatChangedIsNoticed) {
  ASSERT_TRUE(log_in());
  server_.handle = "alice.elsewhere.example";
  server_.now += hours(3);
  Session session = opened();
  EXPECT_EQ(write(session).verdict.outcome, Outcome::kDone);
  EXPECT_EQ(session.account().handle, "alice.elsewhere.example");
  EXPECT_EQ(opened().account().handle, "alice.elsewhere.example");
}

TEST_F(SessionTest, EndsHereAndThere) {
  ASSERT_TRUE(log_in());
  Session session = opened();
  Session other = opened();
  const auto verdict = session.log_out();
  ASSERT_TRUE(verdict);
  EXPECT_EQ(verdict->outcome, Outcome::kDone);
  EXPECT_EQ(server_.asked.back(), "deleteSession");
  EXPECT_FALSE(Session::open(server_.settings(folder_)));
  const XrpcReply reply = write(other);
  EXPECT_EQ(reply.verdict.outcome, Outcome::kLater) << "though its token is still good";
  EXPECT_TRUE(reply.verdict.needs_person);
  EXPECT_EQ(server_.asked.back(), "deleteSession");
  EXPECT_TRUE(std::filesystem::exists(folder_ / "budget.json")) << "what was spent is spent";
}

TEST_F(SessionTest, EndsHereWhereTheServerIsAway) {
  ASSERT_TRUE(log_in());
  Session session = opened();
  server_.now += hours(3);
  ASSERT_EQ(write(session).verdict.outcome, Outcome::kDone);  // other tokens than at first
  server_.faults = {Fault::kNoConnection};
  const auto verdict = session.log_out();
  ASSERT_TRUE(verdict);
  EXPECT_EQ(verdict->outcome, Outcome::kLater);
  EXPECT_FALSE(Session::open(server_.settings(folder_)));
}

TEST_F(SessionTest, NoSecretIsInAnyMessage) {
  ASSERT_TRUE(log_in());
  Session session = opened();
  server_.make_tokens();
  const std::string stored = text_of_file("session.json");
  const XrpcReply reply = write(session);
  EXPECT_EQ(reply.error_name, "InvalidToken");
  for (const auto& request : server_.requests)
    EXPECT_EQ(request.url.find("ey"), std::string::npos) << request.url;
  EXPECT_EQ(reply.verdict.error.to_string().find("eyJ"), std::string::npos);
  EXPECT_NE(stored.find("eyJ"), std::string::npos);
}

TEST(TokenTimes, AreReadFromWhatEverComes) {
  const TokenTimes times =
      token_times("eyJhIjoxfQ.eyJpYXQiOjE3MDAwMDAwMDAsImV4cCI6MTcwMDAwNzIwMH0.c2ln");
  EXPECT_EQ(times.issued, seconds(1'700'000'000));
  EXPECT_EQ(times.expires, seconds(1'700'007'200));
  for (const char* text : {"", "a", "a.b", "a..c", "a.!!.c", "a.eyJleHAiOiJ4In0.c", "a.W10.c",
                           "a.eyJleHAiOi0xfQ.c", "a.eyJleHAiOjFlMzAwfQ.c"})
    EXPECT_FALSE(token_times(text).expires) << text;
}

}  // namespace
}  // namespace bobby::bluesky
