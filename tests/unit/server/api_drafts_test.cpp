// Drafts: kept, changed, decided about, and what they tell of their posts.

#include "store/outbox.h"
#include "unit/server/api_fixture.h"

namespace bobby::server {
namespace {

constexpr const char* kAccount = "did:plc:alice";
constexpr const char* kKey = "3jzfcijpj2z2a";

class Drafts : public ApiTest {
 protected:
  static std::string field(const Answer& answer) {
    EXPECT_EQ(answer.response.status, 400) << answer.response.body;
    const Json param = answer.json()["error"]["param"];
    return param.is_null() ? std::string() : param.get<std::string>();
  }
  static std::string path(std::int64_t id) { return "/v1/drafts/" + std::to_string(id); }

  std::int64_t draft(const std::string& text = "a post") {
    return drafts_->create({.text = text, .graphemes = 6})->id;
  }
  store::OutboxPost approve(std::int64_t id, const std::string& key = kKey) {
    return outbox_->approve(id, kAccount, key, 1'000).value();
  }
  store::OutboxPost send(std::int64_t id, const std::string& key = kKey) {
    return outbox_->begin(approve(id, key).id, "{}", 2'000, std::nullopt).value().value();
  }
  /// The sentence of a 409.
  std::string conflict(const std::string& method, std::int64_t id, const std::string& body = {}) {
    const Answer answer = ask(method, path(id), body);
    EXPECT_EQ(answer.response.status, 409) << answer.response.body;
    for (const auto& [name, value] : answer.response.fields)
      EXPECT_NE(name, "Retry-After") << value;
    return answer.json()["error"]["message"];
  }

  std::unique_ptr<store::Outbox> outbox_ =
      store::Outbox::open(folder_.path() / "drafts.db").value();
};

TEST_F(Drafts, OnlyAnApprovalIsLookedAt) {
  std::string looked_at;
  service_.check_post = [&](const std::string& text) -> Result<void> {
    looked_at += "<" + text + ">";
    if (text.find("no") == std::string::npos) return {};
    return fail({.code = ErrorCode::kUsage, .where = "text", .problem = "is not to be posted"});
  };
  const std::int64_t id = draft("no, never");
  EXPECT_EQ(ask("PATCH", path(id), R"({"text":"no more"})").response.status, 200);
  EXPECT_EQ(ask("PATCH", path(id), R"({"status":"rejected"})").response.status, 200);
  EXPECT_EQ(looked_at, "");
  const Answer refused = ask("PATCH", path(id), R"({"status":"approved"})");
  EXPECT_EQ(refused.response.status, 422) << refused.response.body;
  EXPECT_EQ(refused.json()["error"]["message"], "text: is not to be posted");
  EXPECT_EQ(drafts_->get(id)->value().status, "rejected");
  EXPECT_EQ(ask("PATCH", path(id), R"({"status":"approved","text":"yes"})").response.status, 200);
  EXPECT_EQ(looked_at, "<no more><yes>");
  EXPECT_EQ(ask("PATCH", path(id + 1), R"({"status":"approved"})").response.status, 404);
}

TEST_F(Drafts, TheyAreKeptChangedAndRemoved) {
  const Json draft =
      ask("POST", "/v1/drafts", R"({"text":"Tea 🫖!","prompt":"tea","seed":5})").json();
  EXPECT_EQ(draft["graphemes"], 6);
  EXPECT_EQ(draft["status"], "draft");
  EXPECT_EQ(draft["seed"], 5);
  const std::string path = "/v1/drafts/" + draft["id"].dump();
  EXPECT_EQ(ask("POST", "/v1/drafts", R"({"text":"Coffee"})").response.status, 201);
  EXPECT_EQ(ask("GET", "/v1/drafts?query=TEA").json()["total"], 1);
  const Json page = ask("GET", "/v1/drafts?limit=1").json();
  EXPECT_EQ(page["data"].size(), 1u);
  EXPECT_EQ(page["data"][0]["text"], "Coffee");
  EXPECT_EQ(page["has_more"], true);
  const Json changed = ask("PATCH", path, R"({"text":"Té","status":"approved"})").json();
  EXPECT_EQ(changed["graphemes"], 2);
  EXPECT_EQ(ask("GET", path).json(), changed);
  EXPECT_EQ(ask("GET", "/v1/drafts?status=approved").json()["total"], 1);
  EXPECT_EQ(ask("DELETE", path).json()["deleted"], true);
  EXPECT_EQ(ask("DELETE", path).response.status, 404);
  EXPECT_EQ(ask("GET", path).response.status, 404);
}

TEST_F(Drafts, WhatIsWrongNamesTheField) {
  EXPECT_EQ(field(ask("POST", "/v1/drafts", "{}")), "text");
  EXPECT_EQ(field(ask("POST", "/v1/drafts", R"({"text":""})")), "text");
  EXPECT_EQ(field(ask("POST", "/v1/drafts", R"({"text":1})")), "text");
  EXPECT_EQ(field(ask("POST", "/v1/drafts", R"({"text":"a","seed":-1})")), "seed");
  EXPECT_EQ(field(ask("POST", "/v1/drafts", R"({"text":"a","status":"draft"})")), "status");
  EXPECT_EQ(field(ask("POST", "/v1/drafts", "{\"text\":\"" + std::string(10001, 'a') + "\"}")),
            "text");
  EXPECT_EQ(field(ask("PATCH", "/v1/drafts/1", "{}")), "text");
  EXPECT_EQ(field(ask("PATCH", "/v1/drafts/1", R"({"status":"gone"})")), "status");
  EXPECT_EQ(field(ask("PATCH", "/v1/drafts/1", R"({"reason":"why"})")), "reason");
  EXPECT_EQ(field(ask("PATCH", "/v1/drafts/1", R"({"status":"approved","reason":"why"})")),
            "reason");
  EXPECT_EQ(field(ask("PATCH", "/v1/drafts/1",
                      "{\"status\":\"rejected\",\"reason\":\"" + std::string(1001, 'a') + "\"}")),
            "reason");
  EXPECT_EQ(field(ask("PATCH", "/v1/drafts/1", R"({"seen_text":"a"})")), "text");
  EXPECT_EQ(field(ask("GET", "/v1/drafts?post=gone")), "post");
  EXPECT_EQ(field(ask("GET", "/v1/drafts?post=")), "post");
  std::string many = "1";
  for (int i = 0; i < 200; ++i) many += ",1";
  for (const std::string& ids : {std::string(), std::string("1,"), std::string("1,x"), many})
    EXPECT_EQ(field(ask("GET", "/v1/drafts?ids=" + ids)), "ids") << ids;
  EXPECT_EQ(field(ask("GET", "/v1/drafts?limit=0")), "limit");
  EXPECT_EQ(field(ask("GET", "/v1/drafts?limit=x")), "limit");
  EXPECT_EQ(field(ask("GET", "/v1/drafts?page=2")), "page");
  EXPECT_EQ(field(ask("GET", "/v1/drafts?status=x")), "status");
  EXPECT_EQ(ask("GET", "/v1/drafts/abc").response.status, 404);
}

TEST_F(Drafts, TheyTellWhereTheirPostStands) {
  const std::int64_t id = draft();
  const Json fresh = ask("GET", path(id)).json();
  EXPECT_TRUE(fresh["post"].is_null());
  EXPECT_TRUE(fresh["decision"].is_null());

  const store::OutboxPost sent = send(id);
  ASSERT_TRUE(outbox_->postpone(sent, "the server is away", 1'764'345'600'042).value());
  const Json waiting = ask("GET", path(id)).json();
  EXPECT_EQ(waiting["post"], Json({{"state", "approved"},
                                   {"account", kAccount},
                                   {"record_key", kKey},
                                   {"attempts", 1},
                                   {"uri", nullptr},
                                   {"url", nullptr},
                                   {"problem", "the server is away"},
                                   {"again_at", "2025-11-28T16:00:00.042Z"},
                                   {"approved_at", "1970-01-01T00:00:01.000Z"},
                                   {"posted_at", nullptr}}));
  EXPECT_EQ(
      waiting["decision"],
      Json({{"decision", "approved"}, {"reason", nullptr}, {"at", "1970-01-01T00:00:01.000Z"}}));

  ASSERT_TRUE(outbox_->begin(sent.id, "{}", 3'000, std::nullopt)->has_value());
  ASSERT_TRUE(outbox_->posted(sent.id, "at://x", "cid", 4'000).value());
  const Json posted = ask("GET", "/v1/drafts?post=posted").json()["data"][0];
  EXPECT_EQ(posted["status"], "posted");
  EXPECT_EQ(posted["post"]["state"], "posted");
  EXPECT_EQ(posted["post"]["uri"], "at://x");
  EXPECT_EQ(posted["post"]["url"], "https://bsky.app/profile/did:plc:alice/post/3jzfcijpj2z2a");
  EXPECT_EQ(posted["post"]["posted_at"], "1970-01-01T00:00:04.000Z");
  EXPECT_TRUE(posted["post"]["again_at"].is_null());
}

TEST_F(Drafts, TheListFindsThemByTheirPostAndTheirIds) {
  const std::int64_t one = draft(), two = draft(), three = draft();
  ASSERT_TRUE(outbox_->refused(send(two), "too long", 3'000).value());
  const Json refused = ask("GET", "/v1/drafts?post=refused").json();
  ASSERT_EQ(refused["total"], 1);
  EXPECT_EQ(refused["data"][0]["id"], two);
  EXPECT_EQ(refused["data"][0]["post"]["problem"], "too long");
  EXPECT_EQ(ask("GET", "/v1/drafts?post=sending").json()["total"], 0);
  const Json some =
      ask("GET", "/v1/drafts?ids=" + std::to_string(one) + "," + std::to_string(three) + ",99")
          .json();
  ASSERT_EQ(some["total"], 2);
  EXPECT_EQ(some["data"][0]["id"], three);
}

TEST_F(Drafts, ARejectionKeepsItsReason) {
  const std::int64_t id = draft();
  const Json rejected =
      ask("PATCH", path(id), R"({"status":"rejected","reason":"not how I talk"})").json();
  EXPECT_EQ(rejected["status"], "rejected");
  EXPECT_EQ(rejected["decision"]["decision"], "rejected");
  EXPECT_EQ(rejected["decision"]["reason"], "not how I talk");
  EXPECT_EQ(outbox_->decisions(1)->front().reason, "not how I talk");
  const std::int64_t other = draft();
  EXPECT_TRUE(
      ask("PATCH", path(other), R"({"status":"rejected"})").json()["decision"]["reason"].is_null());
}

TEST_F(Drafts, WhatIsBeingPostedIsAConflict) {
  const std::int64_t id = draft();
  send(id);
  for (const char* change :
       {R"({"text":"new"})", R"({"status":"draft"})", R"({"status":"rejected","reason":"late"})"})
    EXPECT_NE(conflict("PATCH", id, change).find("is being posted"), std::string::npos);
  EXPECT_NE(conflict("DELETE", id).find("is being posted"), std::string::npos);
  EXPECT_EQ(ask("GET", path(id)).json()["post"]["state"], "sending");
}

TEST_F(Drafts, WhatWasPostedOrRefusedIsAConflict) {
  const std::int64_t posted = draft(), refused = draft();
  ASSERT_TRUE(outbox_->posted(send(posted).id, "at://x", "cid", 4'000).value());
  EXPECT_NE(conflict("PATCH", posted, R"({"text":"new"})").find("was posted"), std::string::npos);
  ASSERT_TRUE(outbox_->refused(send(refused, "3jzfcijpj2z2b"), "too long", 3'000).value());
  EXPECT_NE(conflict("PATCH", refused, R"({"status":"approved"})").find("too long"),
            std::string::npos);
  EXPECT_EQ(ask("PATCH", path(refused), R"({"status":"draft"})").json()["status"], "draft");
  EXPECT_EQ(ask("PATCH", path(refused), R"({"status":"approved"})").json()["status"], "approved");
}

TEST_F(Drafts, OnlyTheTextThatWasSeenIsApproved) {
  const std::int64_t id = draft("other words");
  const std::string body = R"({"status":"approved","seen_text":"some words"})";
  EXPECT_NE(conflict("PATCH", id, body).find("another text"), std::string::npos);
  EXPECT_EQ(ask("GET", path(id)).json()["status"], "draft");
}

}  // namespace
}  // namespace bobby::server
