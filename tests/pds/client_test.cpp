// The client of src/bluesky against a real PDS, which tests/pds/client_test.py starts: what a
// server of AT Protocol's own takes, refuses and answers.

#include "http/client.h"

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fmt/format.h>
#include <fstream>
#include <gtest/gtest.h>
#include <memory>
#include <nlohmann/json.hpp>
#include <sstream>
#include <sys/stat.h>
#include <thread>
#include <unistd.h>

#include "bluesky/drafts.h"
#include "bluesky/facets.h"
#include "bluesky/labels.h"
#include "bluesky/repository.h"
#include "bluesky/session.h"
#include "bluesky/tid.h"

namespace bobby::bluesky {
namespace {

using nlohmann::json;

std::string setting(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? std::string() : value;
}

class PdsTest : public testing::Test {
 protected:
  void SetUp() override {
    net::ClientSettings http;
    http.plain_http_to_loopback = true;
    http.patience.tries = 1;
    client_ = std::make_shared<net::Client>(http);
    const auto found = find_account(transport().get, look_up_txt, setting("PDS_DID"),
                                    {.plc_directory = setting("PDS_PLC")});
    ASSERT_TRUE(found) << found.error().to_string();
    account_ = *found;
    EXPECT_EQ(account_.service, setting("PDS_SERVICE"));
    settings_.transport = transport();
    settings_.folder = std::filesystem::path(setting("PDS_FOLDER")) / "account";
  }

  // One login for all tests: each after the first opens what that has left.
  Session session() {
    auto session = Session::open(settings_);
    if (!session)
      session = Session::log_in(settings_, account_, {.password = setting("PDS_PASSWORD")});
    EXPECT_TRUE(session) << session.error().to_string();
    return *std::move(session);
  }

  Transport transport() const {
    return {.get = [client = client_](const std::string& url) { return client->get(url); },
            .ask = [client = client_](
                       const net::Request& request) { return client->ask_once(request); }};
  }

  static std::string key() {
    static TidClock clock(random_clock_id());
    return clock.next(std::chrono::system_clock::now());
  }

  std::string post(const std::string& text) const {
    RichTextOptions options;
    options.did_of_handle = [&](const std::string& handle) -> Result<std::optional<std::string>> {
      const auto found =
          find_account(transport().get, look_up_txt, handle, {.service = account_.service});
      if (!found && found.error().code != ErrorCode::kIo) return std::nullopt;
      if (!found) return std::optional<std::string>();
      return found->did;
    };
    PostFields fields;
    const auto rich = make_rich_text(text, options);
    EXPECT_TRUE(rich) << rich.error().to_string();
    fields.content = *rich;
    fields.created_at = std::chrono::system_clock::now();
    fields.langs = {"de", "en-GB"};
    const auto record = make_post_record(fields);
    EXPECT_TRUE(record) << record.error().to_string();
    return *record;
  }

  json session_file() const {
    return json::parse(std::ifstream(settings_.folder / "session.json"));
  }
  void change_session_file(const std::string& name, const json& value) const {
    json file = session_file();
    file[name] = value;
    std::ofstream(settings_.folder / "session.json") << file.dump();
  }

  const std::string collection_{kPostCollection};
  std::shared_ptr<net::Client> client_;
  Account account_;
  SessionSettings settings_;
};

TEST_F(PdsTest, APostIsThereAsItWasMade) {
  Session session = this->session();
  Repository repository(session);
  const std::string record =
      post("Grüße 🏔️ an @" + setting("PDS_OTHER_HANDLE") +
           " und @nobody.test: " + "https://example.com/a-long-path?to=it #Berge");
  const json facets = json::parse(record)["facets"];
  ASSERT_EQ(facets.size(), 3U) << record;
  const std::string rkey = key();
  const WriteResult made = repository.create(collection_, rkey, record);
  ASSERT_EQ(made.verdict.outcome, Outcome::kDone) << made.verdict.error.to_string();
  const auto found = repository.get(collection_, rkey);
  ASSERT_TRUE(found && *found);
  EXPECT_TRUE(same_record((*found)->value, record)) << (*found)->value;
  EXPECT_EQ((*found)->ref.cid, made.record.cid);
  // The same key again leaves it open what is there; nothing is there twice.
  EXPECT_EQ(repository.create(collection_, rkey, record).verdict.outcome, Outcome::kUnknown);
  int listed = 0;
  ASSERT_TRUE(
      repository.list(collection_, [&](std::string_view uri, std::string_view) -> Result<void> {
        listed += uri == made.record.uri ? 1 : 0;
        return {};
      }));
  EXPECT_EQ(listed, 1);
  EXPECT_EQ(repository.remove(collection_, rkey).verdict.outcome, Outcome::kDone);
  const auto gone = repository.get(collection_, rkey);
  ASSERT_TRUE(gone) << gone.error().to_string();
  EXPECT_FALSE(*gone);
}

TEST_F(PdsTest, AThreadHangsTogether) {
  Session session = this->session();
  Repository repository(session);
  std::vector<RecordRef> refs;
  for (int i = 0; i < 3; ++i) {
    PostFields fields;
    fields.content.text = fmt::format("Part {}", i);
    fields.created_at = std::chrono::system_clock::now();
    fields.card = Card{"https://example.com", "A page", "of words"};
    if (!refs.empty()) fields.reply = ReplyTo{refs.front(), refs.back()};
    const auto record = make_post_record(fields);
    ASSERT_TRUE(record);
    const WriteResult made = repository.create(collection_, key(), *record);
    ASSERT_EQ(made.verdict.outcome, Outcome::kDone) << made.verdict.error.to_string();
    refs.push_back(made.record);
  }
}

TEST_F(PdsTest, WhatWeRefuseTheServerRefusesAndWhatWeTakeItTakes) {
  Session session = this->session();
  const json base = {
      {"$type", collection_}, {"text", "a"}, {"createdAt", "2025-11-28T16:00:00.042Z"}};
  const auto with = [&](const char* name, const json& value) {
    json record = base;
    record[name] = value;
    return record;
  };
  const auto repeated = [](int count, const std::string& text) {
    std::string all;
    for (int i = 0; i < count; ++i) all += text;
    return all;
  };
  const auto facet = [&](int begin, int end, const json& feature) {
    return json::array({{{"index", {{"byteStart", begin}, {"byteEnd", end}}},
                         {"features", json::array({feature})}}});
  };
  const json tag = {{"$type", "app.bsky.richtext.facet#tag"}, {"tag", repeated(64, "é")}};
  const json long_tag = {{"$type", "app.bsky.richtext.facet#tag"}, {"tag", repeated(65, "é")}};
  const json no_did = {{"$type", "app.bsky.richtext.facet#mention"}, {"did", "alice.test"}};
  const json no_url = {{"$type", "app.bsky.richtext.facet#link"}, {"uri", "example.com"}};
  const json link = {{"$type", "app.bsky.richtext.facet#link"},
                     {"uri", "https://example.com/%C3%A9"}};
  const auto labels = [](int count, const std::string& value) {
    json values = json::array();
    for (int i = 0; i < count; ++i) values.push_back({{"val", value}});
    return json{{"$type", "com.atproto.label.defs#selfLabels"}, {"values", values}};
  };
  const auto card = [](const json& external) {
    return json{{"$type", "app.bsky.embed.external"}, {"external", external}};
  };
  const json records[] = {
      base,
      with("text", repeated(300, "é")),
      with("text", repeated(301, "é")),
      with("text", repeated(120, "👩‍👩‍👧‍👦")),
      with("text", repeated(121, "👩‍👩‍👧‍👦")),
      with("text", repeated(300, "🇨🇭")),
      with("text", repeated(301, "🇨🇭")),
      with("text", 7),
      with("createdAt", "yesterday"),
      with("createdAt", "2025-11-28T16:00:00"),
      with("createdAt", "2025-11-28T16:00:00+01:00"),
      with("createdAt", "2025-11-28T16:00:00-00:00"),
      with("langs", {"de", "en", "fr"}),
      with("langs", {"de", "en", "fr", "it"}),
      with("langs", {"zh-Hant-TW", "x-voice", "sl-rozaj-biske-1994"}),
      with("langs", {"deutsch_"}),
      with("langs", json::array({"en-"})),
      with("langs", "en"),
      with("tags", json(std::vector<std::string>(8, repeated(64, "é")))),
      with("tags", json(std::vector<std::string>(9, "x"))),
      with("tags", json::array({repeated(65, "é")})),
      with("labels", labels(10, repeated(128, "x"))),
      with("labels", labels(11, "x")),
      with("labels", labels(1, repeated(129, "x"))),
      with("facets", facet(0, 1, tag)),
      with("facets", facet(0, 1, long_tag)),
      with("facets", facet(0, 1, link)),
      with("facets", facet(0, 1, no_did)),
      with("facets", facet(0, 1, no_url)),
      with("facets", facet(-1, 1, tag)),
      with("embed", card({{"uri", "https://example.com"}, {"title", ""}, {"description", ""}})),
      with("embed", card({{"uri", "example.com"}, {"title", ""}, {"description", ""}})),
      with("embed", card({{"uri", "https://example.com"}, {"title", ""}})),
      with("reply", json::object()),
      with("reply", {{"root", {{"uri", "at://x"}, {"cid", "?"}}}, {"parent", {{"uri", "at://x"}}}}),
  };
  int refused = 0;
  for (const json& record : records) {
    const auto ours = check_post_record(record.dump());
    const XrpcReply theirs = session.call({.method = "com.atproto.repo.createRecord",
                                           .input = {{"repo", account_.did},
                                                     {"collection", collection_},
                                                     {"rkey", key()},
                                                     {"record", record},
                                                     {"validate", true}}},
                                          Spending::kCreate);
    const bool taken = theirs.verdict.outcome == Outcome::kDone;
    refused += taken ? 0 : 1;
    EXPECT_EQ(ours.has_value(), taken)
        << record.dump().substr(0, 300) << "\n  we: " << (ours ? "fine" : ours.error().to_string())
        << "\n  they: " << (taken ? "fine" : theirs.verdict.error.to_string());
    EXPECT_EQ(theirs.verdict.outcome, taken ? Outcome::kDone : Outcome::kRefused);
  }
  EXPECT_EQ(refused, 23);
}

TEST_F(PdsTest, ASessionIsRenewed) {
  { Session session = this->session(); }
  const json before = session_file();
  // A token says its time in whole seconds: one of the same second is the same token.
  std::this_thread::sleep_for(std::chrono::milliseconds(1100));
  change_session_file("good_until", 0);
  Session session = this->session();
  Repository repository(session);
  const std::string record = post("Renewed");
  ASSERT_EQ(repository.create(collection_, key(), record).verdict.outcome, Outcome::kDone);
  const json after = session_file();
  EXPECT_NE(after["access"], before["access"]);
  EXPECT_NE(after["refresh"], before["refresh"]);
  EXPECT_EQ(after["handle"], setting("PDS_HANDLE"));
  // An answer that was lost, and the old refresh token therefore still on the disk.
  change_session_file("refresh", before["refresh"]);
  change_session_file("good_until", 0);
  Session again = this->session();
  EXPECT_EQ(Repository(again).create(collection_, key(), record).verdict.outcome, Outcome::kDone);
}

TEST_F(PdsTest, ASessionThatIsNoneNeedsAPerson) {
  const Session kept = session();
  const json good = session_file();
  change_session_file("access", "eyJhbGciOiJub25lIn0.e30.x");
  Session session = this->session();
  const WriteResult made = Repository(session).create(collection_, key(), post("Nothing"));
  EXPECT_EQ(made.verdict.outcome, Outcome::kLater);
  EXPECT_TRUE(made.verdict.needs_person) << made.verdict.error.to_string();
  std::ofstream(settings_.folder / "session.json") << good.dump();
}

TEST_F(PdsTest, AWrongPasswordIsSaid) {
  SessionSettings settings = settings_;
  settings.folder += "-wrong";
  const auto session = Session::log_in(settings, account_, {.password = "not-the-password"});
  ASSERT_FALSE(session);
  EXPECT_EQ(session.error().code, ErrorCode::kUsage) << session.error().to_string();
  EXPECT_EQ(session.error().to_string().find("not-the-password"), std::string::npos);
}

TEST_F(PdsTest, TheBotsLabelIsSetBesideTheRest) {
  Session session = this->session();
  Repository repository(session);
  const auto set = set_self_label(repository, kBotLabel, true);
  ASSERT_TRUE(set) << set.error().to_string();
  EXPECT_TRUE(*set);
  const auto profile = repository.get("app.bsky.actor.profile", "self");
  ASSERT_TRUE(profile && *profile);
  EXPECT_TRUE(has_self_label((*profile)->value, kBotLabel));
  json changed = json::parse((*profile)->value);
  changed["displayName"] = "Alice";
  ASSERT_EQ(repository.put("app.bsky.actor.profile", "self", changed.dump()).verdict.outcome,
            Outcome::kDone);
  const WriteResult late =
      repository.put("app.bsky.actor.profile", "self", "{\"$type\":\"app.bsky.actor.profile\"}",
                     {.cid = (*profile)->ref.cid});
  EXPECT_EQ(late.verdict.outcome, Outcome::kRefused);
  EXPECT_EQ(late.verdict.error.code, ErrorCode::kMismatch) << late.verdict.error.to_string();
  const WriteResult absent = repository.put("app.bsky.actor.profile", "self",
                                            "{\"$type\":\"app.bsky.actor.profile\"}", {.cid = ""});
  EXPECT_EQ(absent.verdict.error.code, ErrorCode::kMismatch) << absent.verdict.error.to_string();
  const auto again = set_self_label(repository, kBotLabel, true);
  ASSERT_TRUE(again);
  EXPECT_FALSE(*again);
  EXPECT_TRUE(set_self_label(repository, kBotLabel, false).value_or(false));
  const auto last = repository.get("app.bsky.actor.profile", "self");
  ASSERT_TRUE(last && *last);
  EXPECT_EQ(json::parse((*last)->value)["displayName"], "Alice");
  EXPECT_FALSE(has_self_label((*last)->value, kBotLabel));
}

TEST_F(PdsTest, SeveralWritesGoTogetherOrNotAtAll) {
  Session session = this->session();
  Repository repository(session);
  const std::string first = key();
  const std::string second = key();
  const Write good[] = {{Write::Kind::kCreate, collection_, first, post("One")},
                        {Write::Kind::kCreate, collection_, second, post("Two")}};
  ASSERT_EQ(repository.apply(good).verdict.outcome, Outcome::kDone);
  const Write bad[] = {{Write::Kind::kDelete, collection_, first},
                       {Write::Kind::kCreate, collection_, second, post("Two again")}};
  EXPECT_NE(repository.apply(bad).verdict.outcome, Outcome::kDone);
  const auto kept = repository.get(collection_, first);
  ASSERT_TRUE(kept);
  EXPECT_TRUE(*kept);
}

TEST_F(PdsTest, TheServersLimitsAreRead) {
  Session session = this->session();
  const XrpcReply reply = session.call({.method = "com.atproto.repo.createRecord",
                                        .input = {{"repo", account_.did},
                                                  {"collection", collection_},
                                                  {"rkey", key()},
                                                  {"record", json::parse(post("Counted"))}}},
                                       Spending::kCreate);
  ASSERT_EQ(reply.verdict.outcome, Outcome::kDone) << reply.verdict.error.to_string();
  ASSERT_TRUE(reply.limit.remaining);
  ASSERT_TRUE(reply.limit.reset);
  EXPECT_LT(*reply.limit.remaining, 5000);
  EXPECT_GT(*reply.limit.remaining, 1000);
  const auto budget = session.budget();
  ASSERT_TRUE(budget);
  EXPECT_LT(budget->left_in_hour(session.now()), 5000);
}

TEST_F(PdsTest, DraftsGoToTheAppView) {
  Session session = this->session();
  RemoteDrafts drafts(session);
  const DraftResult made = drafts.create({"Grüße", "und mehr"}, {"de"});
  ASSERT_EQ(made.verdict.outcome, Outcome::kDone) << made.verdict.error.to_string();
  auto page = drafts.list();
  ASSERT_TRUE(page) << page.error().to_string();
  ASSERT_EQ(page->drafts.size(), 1U);
  RemoteDraft draft = page->drafts[0];
  EXPECT_EQ(draft.id, made.id);
  EXPECT_EQ(draft.texts, (std::vector<std::string>{"Grüße", "und mehr"}));
  EXPECT_EQ(draft.langs, std::vector<std::string>{"de"});
  draft.texts = {"Anders"};
  EXPECT_EQ(drafts.update(draft).verdict.outcome, Outcome::kDone);
  page = drafts.list();
  ASSERT_TRUE(page && page->drafts.size() == 1);
  EXPECT_EQ(page->drafts[0].texts, draft.texts);
  EXPECT_EQ(drafts.remove(made.id).verdict.outcome, Outcome::kDone);
  page = drafts.list();
  ASSERT_TRUE(page);
  EXPECT_TRUE(page->drafts.empty());
}

// Run alone, once the account is deactivated.
TEST_F(PdsTest, DISABLED_ADeactivatedAccountIsSaid) {
  Session session = this->session();
  const WriteResult made = Repository(session).create(collection_, key(), post("Nothing"));
  EXPECT_EQ(made.verdict.outcome, Outcome::kLater);
  EXPECT_TRUE(made.verdict.needs_person);
  EXPECT_NE(made.verdict.error.to_string().find("the account is deactivated"), std::string::npos)
      << made.verdict.error.to_string();
}

// Run alone, once the account has another handle.
TEST_F(PdsTest, DISABLED_AnotherHandleChangesNothing) {
  change_session_file("good_until", 0);
  Session session = this->session();
  const WriteResult made = Repository(session).create(collection_, key(), post("Still me"));
  EXPECT_EQ(made.verdict.outcome, Outcome::kDone) << made.verdict.error.to_string();
  EXPECT_EQ(session.account().handle, setting("PDS_HANDLE"));
}

}  // namespace
}  // namespace bobby::bluesky
