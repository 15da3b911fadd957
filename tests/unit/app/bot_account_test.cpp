// Which account is meant, without any network.

#include <fstream>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include "app/bot/account.h"
#include "temporary_folder.h"

namespace bobby {
namespace {

constexpr const char* kAlice = "did:plc:ewvi7nxzyoun6zhxrhs64oiz";
constexpr const char* kBob = "did:plc:ragtjsm2j2vknwkz3zp4oxrd";

class BotAccountTest : public testing::Test {
 protected:
  Settings settings(std::map<Opt, std::vector<std::string>> flags = {}) const {
    flags[Opt::kDrafts] = {(folder_.path() / "bobby.sqlite").string()};
    return Settings::resolve({std::move(flags), Environment(), folder_.path()}).value();
  }
  bluesky::AccountFiles files(const std::string& did) const {
    return bluesky::AccountFiles(bluesky::account_folder(accounts_folder(settings()), did));
  }
  void log_in(const std::string& did, const std::string& handle) const {
    const auto folder = bluesky::account_folder(accounts_folder(settings()), did);
    ASSERT_TRUE(bluesky::make_private_folder(folder));
    ASSERT_TRUE(files(did).save(bluesky::SessionData{
        .account = {.did = did, .handle = handle, .service = "https://pds.example"},
        .access = "a.b.c",
        .refresh = "d.e.f"}));
  }

  TemporaryFolder folder_;
};

TEST_F(BotAccountTest, NobodyIsLoggedIn) {
  const auto session = chosen_session(settings());
  ASSERT_FALSE(session);
  EXPECT_EQ(session.error().code, ErrorCode::kNotFound);
  EXPECT_NE(session.error().hint.find("bot login"), std::string::npos);
}

TEST_F(BotAccountTest, TheOnlyOneIsMeant) {
  log_in(kAlice, "alice.example");
  EXPECT_EQ(chosen_session(settings())->account.did, kAlice);
}

TEST_F(BotAccountTest, OfSeveralOneIsNamed) {
  log_in(kAlice, "alice.example");
  log_in(kBob, "bob.example");
  const auto unnamed = chosen_session(settings());
  ASSERT_FALSE(unnamed);
  EXPECT_EQ(unnamed.error().code, ErrorCode::kUsage);
  EXPECT_NE(unnamed.error().expected.find("bob.example"), std::string::npos);
  for (const char* name : {"bob.example", "@bob.example", kBob})
    EXPECT_EQ(chosen_session(settings({{Opt::kBotAccount, {name}}}))->account.did, kBob) << name;
  EXPECT_FALSE(chosen_session(settings({{Opt::kBotAccount, {"carol.example"}}})));
}

TEST_F(BotAccountTest, LoggingOutOfflineRemovesTheSessionAlone) {
  log_in(kAlice, "alice.example");
  log_in(kBob, "bob.example");
  ASSERT_TRUE(files(kAlice).save(bluesky::RateBudget()));
  EXPECT_FALSE(log_out(settings({{Opt::kOffline, {"true"}}}), {})) << "which?";
  const auto out =
      log_out(settings({{Opt::kOffline, {"true"}}, {Opt::kBotAccount, {"alice.example"}}}), {});
  ASSERT_TRUE(out) << out.error().to_string();
  EXPECT_EQ(out->account.did, kAlice);
  EXPECT_TRUE(out->not_told);
  EXPECT_FALSE(*files(kAlice).session());
  EXPECT_TRUE(std::filesystem::exists(bluesky::account_folder(accounts_folder(settings()), kAlice) /
                                      "budget.json"));
  EXPECT_EQ(chosen_session(settings())->account.did, kBob);
}

TEST_F(BotAccountTest, LogsOutOfASessionThatCannotBeRead) {
  log_in(kAlice, "alice.example");
  const auto file = bluesky::account_folder(accounts_folder(settings()), kAlice) / "session.json";
  std::ofstream(file) << "{";
  EXPECT_FALSE(log_out(settings(), {})) << "it does not say whose it is";
  const auto out = log_out(settings({{Opt::kBotAccount, {kAlice}}}), {});
  ASSERT_TRUE(out) << out.error().to_string();
  EXPECT_EQ(out->not_told->code, ErrorCode::kMalformed);
  EXPECT_FALSE(std::filesystem::exists(file));
  const auto again = log_out(settings({{Opt::kBotAccount, {kAlice}}}), {});
  EXPECT_EQ(again.error().code, ErrorCode::kNotFound);
}

TEST_F(BotAccountTest, OfflineAsksNobody) {
  log_in(kAlice, "alice.example");
  const auto opened = BotAccount::open(settings({{Opt::kOffline, {"true"}}}), {});
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().where, "--offline");
}

TEST_F(BotAccountTest, AFileThatOthersMayReadIsRefused) {
  log_in(kAlice, "alice.example");
  const auto file = bluesky::account_folder(accounts_folder(settings()), kAlice) / "session.json";
  ASSERT_EQ(::chmod(file.c_str(), 0644), 0);
  const auto session = chosen_session(settings({{Opt::kBotAccount, {kAlice}}}));
  ASSERT_FALSE(session);
  EXPECT_EQ(session.error().to_string().find("d.e.f"), std::string::npos);
}

}  // namespace
}  // namespace bobby
