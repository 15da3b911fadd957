// Who an account is and where its server stands, from what the network says; and what is not
// believed.

#include "bluesky/identity.h"

#include <gtest/gtest.h>
#include <map>
#include <nlohmann/json.hpp>

namespace bobby::bluesky {
namespace {

using nlohmann::json;

const std::string kDid = "did:plc:ewvi7nxzyoun6zhxrhs64oiz";

class IdentityTest : public testing::Test {
 protected:
  Result<Account> find(const std::string& who) {
    asked_.clear();
    return find_account(
        [&](const std::string& url) -> Result<net::Answer> {
          asked_.push_back(url);
          const auto found = pages_.find(url);
          if (found == pages_.end()) return net::Answer{.status = 404, .body = "", .wait = {}};
          return net::Answer{.status = 200, .body = found->second, .wait = {}};
        },
        [&](const std::string& name) {
          asked_.push_back(name);
          return txt_[name];
        },
        who, settings_);
  }

  std::string problem(const std::string& who) {
    const auto done = find(who);
    return done ? "found it" : done.error().to_string();
  }

  static json document(const std::string& did = kDid) {
    return {{"id", did},
            {"alsoKnownAs", json::array({"at://Alice.example"})},
            {"service",
             {{{"id", "#other"}, {"type", "Other"}, {"serviceEndpoint", "https://other.example"}},
              {{"id", "#atproto_pds"},
               {"type", "AtprotoPersonalDataServer"},
               {"serviceEndpoint", "https://pds.example/"}}}}};
  }

  void SetUp() override { pages_["https://plc.directory/" + kDid] = document().dump(); }

  std::map<std::string, std::string> pages_;
  std::map<std::string, std::vector<std::string>> txt_;
  std::vector<std::string> asked_;
  IdentitySettings settings_;
};

TEST_F(IdentityTest, ADidIsLookedUpInTheDirectory) {
  const auto found = find(kDid);
  ASSERT_TRUE(found) << found.error().to_string();
  EXPECT_EQ(found->did, kDid);
  EXPECT_EQ(found->service, "https://pds.example");
  EXPECT_EQ(found->handle, "");
}

TEST_F(IdentityTest, AHandleIsLookedUpInItsDomain) {
  txt_["_atproto.alice.example"] = {"v=spf1 -all", "did=" + kDid};
  const auto by_txt = find("@Alice.Example");
  ASSERT_TRUE(by_txt) << by_txt.error().to_string();
  EXPECT_EQ(by_txt->did, kDid);
  EXPECT_EQ(by_txt->handle, "alice.example");
  EXPECT_EQ(asked_.size(), 2U);
  txt_.clear();
  pages_["https://alice.example/.well-known/atproto-did"] = kDid + "\n";
  const auto by_page = find("alice.example");
  ASSERT_TRUE(by_page) << by_page.error().to_string();
  EXPECT_EQ(by_page->did, kDid);
}

TEST_F(IdentityTest, AHandleThatTheAccountDoesNotNameIsNotBelieved) {
  txt_["_atproto.mallory.example"] = {"did=" + kDid};
  const auto done = find("mallory.example");
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().code, ErrorCode::kMismatch);
}

TEST_F(IdentityTest, SeveralAccountsForOneHandleAreNone) {
  txt_["_atproto.alice.example"] = {"did=" + kDid, "did=did:web:bob.example"};
  EXPECT_NE(problem("alice.example").find("several accounts"), std::string::npos);
}

TEST_F(IdentityTest, WhatNamesNobodyIsNotFound) {
  const auto done = find("nobody.example");
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().code, ErrorCode::kNotFound);
  pages_["https://page.example/.well-known/atproto-did"] = "<html>did:plc:none</html>";
  EXPECT_NE(problem("page.example").find("leads to no account"), std::string::npos);
}

TEST_F(IdentityTest, DidWebIsAskedOfItsHost) {
  pages_["https://alice.example/.well-known/did.json"] = document("did:web:alice.example").dump();
  const auto found = find("did:web:alice.example");
  ASSERT_TRUE(found) << found.error().to_string();
  EXPECT_EQ(found->service, "https://pds.example");
  pages_["http://localhost:2583/.well-known/did.json"] =
      document("did:web:localhost%3A2583").dump();
  EXPECT_TRUE(find("did:web:localhost%3A2583"));
}

TEST_F(IdentityTest, ADocumentMustBeTheAccountsAndNameAServer) {
  const std::string url = "https://plc.directory/" + kDid;
  pages_[url] = document("did:plc:aaaaaaaaaaaaaaaaaaaaaaaa").dump();
  EXPECT_NE(problem(kDid).find("another account's document"), std::string::npos);
  for (const char* endpoint : {"http://pds.example", "file:///etc/passwd", "pds.example",
                               "https://user:secret@pds.example"}) {
    json bad = document();
    bad["service"][1]["serviceEndpoint"] = endpoint;
    pages_[url] = bad.dump();
    EXPECT_NE(problem(kDid).find("names no server"), std::string::npos) << endpoint;
  }
  pages_[url] = json{{"id", kDid}, {"service", 1}, {"alsoKnownAs", 2}}.dump();
  EXPECT_NE(problem(kDid).find("names no server"), std::string::npos);
  for (const char* body : {"", "[]", "not json", "{\"id\": 1}"}) {
    pages_[url] = body;
    EXPECT_FALSE(find(kDid)) << body;
  }
}

TEST_F(IdentityTest, AServiceThatIsGivenIsAskedAlone) {
  settings_.service = "https://my.example/";
  const auto by_did = find(kDid);
  ASSERT_TRUE(by_did);
  EXPECT_EQ(by_did->service, "https://my.example");
  EXPECT_TRUE(asked_.empty());
  const std::string url =
      "https://my.example/xrpc/com.atproto.identity.resolveHandle?handle=alice.example";
  pages_[url] = json{{"did", kDid}}.dump();
  const auto found = find("alice.example");
  ASSERT_TRUE(found);
  EXPECT_EQ(found->did, kDid);
  EXPECT_EQ(asked_, std::vector<std::string>{url});
  pages_[url] = json{{"did", "nonsense"}}.dump();
  EXPECT_NE(problem("alice.example").find("names no account"), std::string::npos);
  settings_.service = "http://my.example";
  EXPECT_NE(problem(kDid).find("not the address of a server"), std::string::npos);
}

TEST(Names, AreWhatTheSpecificationSays) {
  for (const char* good : {"alice.example", "@alice.example", "a.co", "xn--ls8h.test", "8.cn",
                           "john.test", "a-b.c-d.org", "ALICE.Example"})
    EXPECT_TRUE(is_handle(good)) << good;
  const std::string long_label(64, 'a');
  for (const std::string& bad :
       {std::string(), std::string("alice"), std::string("alice."), std::string(".example"),
        std::string("a..b"), std::string("-a.example"), std::string("a-.example"),
        std::string("a.8"), std::string("a b.example"), std::string("a_b.example"),
        std::string("1.2.3.4"), std::string("ü.example"), std::string("a.example/x"),
        long_label + ".example"})
    EXPECT_FALSE(is_handle(bad)) << bad;
  for (const char* good : {"did:plc:ewvi7nxzyoun6zhxrhs64oiz", "did:web:alice.example"})
    EXPECT_TRUE(is_did(good)) << good;
  for (const char* bad :
       {"did:plc:short", "did:plc:EWVI7NXZYOUN6ZHXRHS64OIZ", "did:plc:ewvi7nxzyoun6zhxrhs64o1z",
        "did:web:", "did:web:alice.example/x", "did:web:alice.example:443", "did:web:localhost",
        "did:web:alice.example%3A443", "did:key:z6Mk", "did:web:a.example@b"})
    EXPECT_FALSE(is_did(bad)) << bad;
}

}  // namespace
}  // namespace bobby::bluesky
