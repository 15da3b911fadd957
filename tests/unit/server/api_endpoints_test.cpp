// Posts, adapters, status, metrics and the page.

#include <set>

#include "server/api/adapters_endpoint.h"
#include "server/api/drafts_endpoint.h"
#include "server/api/openai_request.h"
#include "server/api/page.h"
#include "server/api/posts_json.h"
#include "server/api/posts_request.h"
#include "unit/server/api_fixture.h"

namespace bobby::server {
namespace {

class Endpoints : public ApiTest {};

TEST_F(Endpoints, PostsAreWritten) {
  const Answer answer = ask("POST", "/v1/posts", R"({"seed":7,"min_chars":5})");
  ASSERT_EQ(answer.response.status, 200) << answer.response.body;
  const Json json = answer.json();
  EXPECT_EQ(json["object"], "list");
  EXPECT_EQ(json["seed"], 7);
  EXPECT_EQ(json["posts"].size() + json["missing"].get<std::size_t>(), 3u);
  for (const Json& post : json["posts"]) {
    EXPECT_EQ(post["seed"], 7);
    EXPECT_GE(post["graphemes"].get<int>(), 5);
    for (const char* key : {"index", "text", "tokens", "finish_reason", "tries", "mean_logprob",
                            "prefill_ms", "decode_tok_s"})
      EXPECT_TRUE(post.contains(key)) << key;
  }
  EXPECT_EQ(json["posts"], [&] {
    Json again = ask("POST", "/v1/posts", R"({"seed":7,"min_chars":5})").json()["posts"];
    for (std::size_t i = 0; i < again.size(); ++i)
      for (const char* timing : {"prefill_ms", "decode_tok_s"})
        again[i][timing] = json["posts"][i][timing];
    return again;
  }());
}

TEST_F(Endpoints, AStreamOfPostsTellsWhatTheWholeAnswerDoes) {
  const std::string body = R"("seed":7,"min_chars":25,"retries":2,"count":4)";
  const Json whole = ask("POST", "/v1/posts", "{" + body + "}").json();
  const Answer stream = ask("POST", "/v1/posts", "{" + body + R"(,"stream":true})");
  ASSERT_TRUE(stream.streamed);
  EXPECT_EQ(stream.events.back(), "[DONE]");
  std::map<int, std::string> posts;
  std::set<std::pair<int, int>> rejected;
  std::map<std::pair<int, int>, std::string> written;
  std::vector<std::string> types;
  for (std::size_t i = 0; i + 1 < stream.events.size(); ++i) {
    const Json event = Json::parse(stream.events[i]);
    const std::string type = event["type"];
    if (types.empty() || types.back() != type) types.push_back(type);
    if (type == "post") posts[event["post"]["index"].get<int>()] = event["post"]["text"];
    if (type == "rejected")
      rejected.emplace(event["index"].get<int>(), event["attempt"].get<int>());
    if (type == "text")
      written[std::pair(event["index"].get<int>(), event["attempt"].get<int>())] +=
          event["text"].get<std::string>();
  }
  EXPECT_EQ(types.at(0), "start");
  EXPECT_EQ(types.at(1), "progress");
  EXPECT_EQ(types.back(), "done");
  EXPECT_EQ(posts.size(), whole["posts"].size());
  for (const Json& post : whole["posts"]) EXPECT_EQ(posts[post["index"].get<int>()], post["text"]);
  EXPECT_EQ(rejected.size(), whole["rejected"].size());
  EXPECT_GT(rejected.size(), 0u) << "the seed was chosen to have some";
  for (const auto& [which, text] : written) EXPECT_FALSE(text.empty());
  EXPECT_GE(written.size(), posts.size() + rejected.size());
}

TEST_F(Endpoints, ARevisedPostIsToldAgain) {
  PostsTold told;
  PostBatch batch;
  batch.posts = {{.index = 1, .text = "a", .tries = 1}};
  EXPECT_EQ(told.news(batch).size(), 1u);
  EXPECT_EQ(told.news(batch).size(), 0u);
  batch.rejected = {{.index = 1, .attempt = 0, .reason = Rejection::kDuplicate, .text = "a"}};
  batch.posts = {{.index = 0, .text = "a", .tries = 2}, {.index = 1, .text = "b", .tries = 2}};
  const std::vector<Json> news = told.news(batch);
  ASSERT_EQ(news.size(), 3u);
  EXPECT_EQ(news[0]["type"], "rejected");
  EXPECT_EQ(news[2]["post"]["text"], "b");
}

TEST_F(Endpoints, PostsRefuseWhatCannotBe) {
  EXPECT_EQ(ask("POST", "/v1/posts", R"({"min_chars":50,"char_limit":10})").response.status, 400);
  EXPECT_EQ(ask("POST", "/v1/posts", R"({"prompt":"<|im_end|>"})").response.status, 400);
  const Answer unknown = ask("POST", "/v1/posts", R"({"adapters":[{"name":"x"}]})");
  EXPECT_EQ(unknown.response.status, 404);
  EXPECT_EQ(unknown.json()["error"]["param"], "adapters");
}

TEST_F(Endpoints, AdaptersAreLoadedAndTakenOut) {
  EXPECT_EQ(ask("POST", "/v1/adapters", R"({"path":"/a","name":"v"})").response.status, 201);
  EXPECT_EQ(ask("POST", "/v1/adapters", R"({"path":"/a","name":"taken"})").response.status, 409);
  EXPECT_EQ(ask("POST", "/v1/adapters", R"({"name":"v"})").response.status, 400);
  EXPECT_EQ(ask("GET", "/v1/adapters").json()["data"][0]["name"], "v");
  const Json models = ask("GET", "/v1/models").json()["data"];
  ASSERT_EQ(models.size(), 2u);
  EXPECT_EQ(models[0]["id"], "fake");
  EXPECT_EQ(models[1]["id"], "fake:v");
  EXPECT_EQ(models[1]["parent"], "fake");
  EXPECT_EQ(ask("DELETE", "/v1/adapters/v").json()["deleted"], true);
  EXPECT_EQ(ask("DELETE", "/v1/adapters/v").response.status, 404);
}

TEST_F(Endpoints, AnAdapterThatRequestsGetUnaskedStays) {
  service_.defaults.adapters = {{"v", std::nullopt}};
  EXPECT_EQ(ask("POST", "/v1/adapters", R"({"path":"/a","name":"v"})").response.status, 201);
  EXPECT_EQ(ask("DELETE", "/v1/adapters/v").response.status, 409);
  EXPECT_EQ(ask("GET", "/v1/adapters").json()["data"].size(), 1u);
}

TEST_F(Endpoints, ReadinessIsTold) {
  EXPECT_EQ(ask("GET", "/health").json()["status"], "alive");
  EXPECT_EQ(ask("GET", "/ready").json()["status"], "ready");
  service_.readiness.drain();
  EXPECT_EQ(ask("GET", "/ready").response.status, 503);
  EXPECT_EQ(ask("GET", "/ready").json()["status"], "draining");
  EXPECT_EQ(ask("POST", "/v1/posts", "{}").response.status, 503);
  const Json settings = ask("GET", "/v1/settings").json();
  EXPECT_EQ(settings["count"], 3);
  EXPECT_EQ(settings["temperature"].dump(), "0.7");
  EXPECT_EQ(settings["char_limit"], 300);
  EXPECT_GE(settings["suggestions"].size(), 3u);
}

TEST_F(Endpoints, MetricsHaveTheNamesThatArePromised) {
  ask("POST", "/v1/completions", R"({"prompt":"ab","max_tokens":5,"ignore_eos":true})");
  AdapterEntry entry;
  entry.name = "voice";
  entry.loaded_at = "now";
  adapters_.entries.push_back(entry);
  const Answer answer = ask("GET", "/metrics");
  EXPECT_TRUE(answer.response.content_type.starts_with("text/plain"));
  std::set<std::string> typed;
  std::map<std::string, std::string> samples;
  std::istringstream lines(answer.response.body);
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with("# TYPE ")) {
      const std::string name = line.substr(7, line.find(' ', 7) - 7);
      EXPECT_TRUE(typed.insert(name).second) << name << " is a family twice";
      continue;
    }
    if (line.starts_with("#")) continue;
    const auto space = line.rfind(' ');
    const std::string key = line.substr(0, space);
    EXPECT_TRUE(samples.emplace(key, line.substr(space + 1)).second) << key << " twice";
    const std::string name = key.substr(0, key.find('{'));
    EXPECT_TRUE(typed.contains(name) || name.find("_seconds_") != std::string::npos) << name;
  }
  EXPECT_EQ(samples["bobby_generated_tokens_total"], "5");
  EXPECT_EQ(samples["bobby_requests_total{outcome=\"done\"}"], "1");
  for (const char* name : {"num_requests_waiting", "num_requests_running", "kv_cache_usage_perc",
                           "gpu_cache_usage_perc"})
    EXPECT_TRUE(samples.contains(std::string("vllm:") + name + "{model_name=\"fake\"}")) << name;
  EXPECT_NE(answer.response.body.find("vllm:cache_config_info{block_size=\"8\",num_gpu_blocks=\""),
            std::string::npos);
  EXPECT_NE(answer.response.body.find("running_lora_adapters=\"voice\",waiting_lora_adapters=\"\""),
            std::string::npos);
}

TEST_F(Endpoints, ThePageIsServedWithItsPolicy) {
  const Answer page = ask("GET", "/");
  EXPECT_EQ(page.response.status, 200);
  EXPECT_EQ(page.response.content_type, "text/html; charset=utf-8");
  std::map<std::string, std::string> fields(page.response.fields.begin(),
                                            page.response.fields.end());
  EXPECT_TRUE(fields["Content-Security-Policy"].starts_with("default-src 'self'"));
  EXPECT_EQ(fields["Content-Security-Policy"].find("unsafe"), std::string::npos);
  fields_["if-none-match"] = fields["ETag"];
  const Answer known = ask("GET", "/");
  EXPECT_EQ(known.response.status, 304);
  EXPECT_EQ(known.response.body, "");
  fields_.clear();
  EXPECT_EQ(ask("GET", "/assets/app.js").response.content_type, "text/javascript; charset=utf-8");
  for (const char* name : {"/assets/none.js", "/assets/index.html", "/assets/openapi.json"})
    EXPECT_EQ(ask("GET", name).response.status, 404) << name;
}

TEST_F(Endpoints, TheDescriptionAndTheRoutesAreTheSame) {
  const Json description = Json::parse(find_embedded("openapi.json")->bytes);
  EXPECT_EQ(description["openapi"], "3.1.0");
  std::set<std::string> described;
  for (const auto& [path, methods] : description["paths"].items())
    for (const auto& [method, operation] : methods.items()) {
      std::string name = method;
      for (char& c : name) c = static_cast<char>(std::toupper(c));
      described.insert(name + " " + path);
      EXPECT_TRUE(operation["responses"].contains("500")) << path;
    }
  std::set<std::string> routes;
  for (const http::Route& route : make_routes(service_, true))
    routes.insert(route.method + " " + route.path);
  EXPECT_EQ(described, routes);
}

TEST_F(Endpoints, TheDescriptionHasEveryFieldThatIsTakenAndNoOther) {
  const Json description = Json::parse(find_embedded("openapi.json")->bytes);
  const auto properties = [&](const char* schema) {
    std::set<std::string> names;
    for (const auto& [name, value] :
         description["components"]["schemas"][schema]["properties"].items())
      names.insert(name);
    return names;
  };
  const auto taken = [](std::span<const std::string_view> fields) {
    return std::set<std::string>(fields.begin(), fields.end());
  };
  EXPECT_EQ(properties("ChatRequest"), taken(chat_fields()));
  EXPECT_EQ(properties("CompletionRequest"), taken(completion_fields()));
  EXPECT_EQ(properties("PostsRequest"), taken(posts_fields()));
  EXPECT_EQ(properties("NewDraft"), taken(new_draft_fields()));
  EXPECT_EQ(properties("DraftChange"), taken(draft_change_fields()));
  EXPECT_EQ(properties("LoadAdapter"), taken(load_adapter_fields()));
  std::set<std::string> query;
  for (const Json& parameter : description["paths"]["/v1/drafts"]["get"]["parameters"])
    query.insert(parameter["name"]);
  EXPECT_EQ(query, taken(draft_query_fields()));
}

}  // namespace
}  // namespace bobby::server
