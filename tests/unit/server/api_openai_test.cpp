// OpenAI's endpoints: shapes, streams, and that both say the same.

#include "unit/server/api_fixture.h"

namespace bobby::server {
namespace {

const std::string kChat = R"("messages":[{"role":"user","content":"Hi"}],"max_tokens":30,"seed":7)";

class OpenAi : public ApiTest {};

TEST_F(OpenAi, AChatAnswerHasItsShape) {
  const Answer answer = ask("POST", "/v1/chat/completions", "{" + kChat + R"(,"n":2})");
  ASSERT_EQ(answer.response.status, 200) << answer.response.body;
  const Json json = answer.json();
  EXPECT_EQ(json["object"], "chat.completion");
  EXPECT_EQ(json["model"], "fake");
  EXPECT_EQ(json["system_fingerprint"], "fp_1");
  EXPECT_TRUE(json["id"].get<std::string>().starts_with("chatcmpl-"));
  EXPECT_GT(json["created"].get<std::int64_t>(), 1700000000);
  ASSERT_EQ(json["choices"].size(), 2u);
  for (std::size_t i = 0; i < 2; ++i) {
    const Json& choice = json["choices"][i];
    EXPECT_EQ(choice["index"], i);
    EXPECT_EQ(choice["message"]["role"], "assistant");
    EXPECT_FALSE(choice["message"]["content"].get<std::string>().empty());
    EXPECT_TRUE(choice["finish_reason"] == "stop" || choice["finish_reason"] == "length");
    EXPECT_TRUE(choice["logprobs"].is_null());
  }
  const Json& usage = json["usage"];
  EXPECT_EQ(usage["total_tokens"].get<int>(),
            usage["prompt_tokens"].get<int>() + usage["completion_tokens"].get<int>());
  EXPECT_GT(usage["prompt_tokens"].get<int>(), 2);
}

TEST_F(OpenAi, ASeedRepeatsAndAChoiceIsTheSameAlone) {
  const auto texts = [&](const std::string& more) {
    std::vector<std::string> found;
    const Answer answer = ask("POST", "/v1/chat/completions", "{" + kChat + more + "}");
    const Json json = answer.json();
    for (const Json& choice : json["choices"]) found.push_back(choice["message"]["content"]);
    return found;
  };
  const auto three = texts(R"(,"n":3)");
  EXPECT_EQ(three, texts(R"(,"n":3)"));
  EXPECT_EQ(three.at(0), texts("").at(0));
  EXPECT_NE(three.at(0), three.at(1));
}

TEST_F(OpenAi, AStreamSaysWhatTheWholeAnswerSays) {
  const std::string body = "{" + kChat + R"(,"n":2,"logprobs":true,"top_logprobs":2)";
  const Json whole = ask("POST", "/v1/chat/completions", body + "}").json();
  const Answer stream = ask("POST", "/v1/chat/completions",
                            body + R"(,"stream":true,"stream_options":{"include_usage":true}})");
  ASSERT_TRUE(stream.streamed);
  ASSERT_GE(stream.events.size(), 6u);
  EXPECT_EQ(stream.events.back(), "[DONE]");
  std::vector<std::string> texts(2);
  std::vector<Json> logprobs(2, Json::array());
  std::vector<std::string> reasons(2);
  for (std::size_t i = 0; i + 2 < stream.events.size(); ++i) {
    const Json chunk = Json::parse(stream.events[i]);
    EXPECT_EQ(chunk["object"], "chat.completion.chunk");
    EXPECT_TRUE(chunk["usage"].is_null());
    ASSERT_EQ(chunk["choices"].size(), 1u);
    const Json& choice = chunk["choices"][0];
    const auto index = choice["index"].get<std::size_t>();
    if (i < 2) {
      EXPECT_EQ(choice["delta"]["role"], "assistant");
    }
    EXPECT_EQ(reasons.at(index), "") << "text after the end";
    if (choice["delta"].contains("content"))
      texts[index] += choice["delta"]["content"].get<std::string>();
    if (!choice["logprobs"].is_null())
      for (const Json& token : choice["logprobs"]["content"]) logprobs[index].push_back(token);
    if (!choice["finish_reason"].is_null()) reasons[index] = choice["finish_reason"];
  }
  for (std::size_t i = 0; i < 2; ++i) {
    EXPECT_EQ(texts[i], whole["choices"][i]["message"]["content"]);
    EXPECT_EQ(reasons[i], whole["choices"][i]["finish_reason"]);
    EXPECT_EQ(logprobs[i], whole["choices"][i]["logprobs"]["content"]);
    EXPECT_EQ(logprobs[i].size(), texts[i].size()) << "a token a byte";
    for (const Json& token : logprobs[i]) {
      EXPECT_EQ(token["top_logprobs"].size(), 2u);
      EXPECT_EQ(token["bytes"].size(), 1u);
    }
  }
  const Json last = Json::parse(stream.events[stream.events.size() - 2]);
  EXPECT_TRUE(last["choices"].empty());
  EXPECT_EQ(last["usage"]["completion_tokens"], whole["usage"]["completion_tokens"]);
}

TEST_F(OpenAi, CompletionsOfSeveralPromptsAreNumberedPromptByPrompt) {
  const auto texts = [&](const std::string& prompt) {
    const Answer answer = ask("POST", "/v1/completions",
                              R"({"prompt":)" + prompt + R"(,"n":2,"seed":3,"max_tokens":12})");
    EXPECT_EQ(answer.response.status, 200) << answer.response.body;
    std::vector<std::string> found;
    const Json json = answer.json();
    for (const Json& choice : json["choices"]) {
      EXPECT_EQ(choice["index"], found.size());
      found.push_back(choice["text"]);
    }
    return found;
  };
  const auto both = texts(R"(["ab","cd"])");
  const auto first = texts(R"("ab")");
  const auto second = texts("[99,100]");  // "cd"
  ASSERT_EQ(both.size(), 4u);
  EXPECT_EQ((std::vector<std::string>{both[0], both[1]}), first);
  EXPECT_EQ((std::vector<std::string>{both[2], both[3]}), second);
}

TEST_F(OpenAi, PlainLogprobsHaveTheirShape) {
  const Json json =
      ask("POST", "/v1/completions", R"({"prompt":"ab","logprobs":2,"seed":3,"max_tokens":5})")
          .json();
  EXPECT_EQ(json["object"], "text_completion");
  EXPECT_TRUE(json["id"].get<std::string>().starts_with("cmpl-"));
  const Json& logprobs = json["choices"][0]["logprobs"];
  const std::string text = json["choices"][0]["text"];
  ASSERT_EQ(logprobs["tokens"].size(), text.size());
  std::string joined;
  for (std::size_t i = 0; i < text.size(); ++i) {
    EXPECT_EQ(logprobs["text_offset"][i], i);
    const std::string token = logprobs["tokens"][i];
    EXPECT_EQ(logprobs["top_logprobs"][i][token], logprobs["token_logprobs"][i]);
    EXPECT_GE(logprobs["top_logprobs"][i].size(), 2u);
    joined += token;
  }
  EXPECT_EQ(joined, text);
}

TEST_F(OpenAi, StopStringsEndAnAnswer) {
  const std::string body = R"({"prompt":"ab","seed":3,"max_tokens":40)";
  const std::string text = ask("POST", "/v1/completions", body + "}").json()["choices"][0]["text"];
  ASSERT_GT(text.size(), 6u);
  const std::string stop = text.substr(3, 2);
  const Answer stopped = ask("POST", "/v1/completions", body + R"(,"stop":")" + stop + "\"}");
  const Json choice = stopped.json()["choices"][0];
  EXPECT_EQ(choice["text"], text.substr(0, text.find(stop)));
  EXPECT_EQ(choice["finish_reason"], "stop");
}

TEST_F(OpenAi, AModelIsTheBaseOrAnAdapter) {
  const auto ask_model = [&](const std::string& model) {
    return ask("POST", "/v1/chat/completions", "{" + kChat + R"(,"model":")" + model + "\"}");
  };
  EXPECT_EQ(ask_model("").response.status, 200);
  EXPECT_EQ(ask_model("fake").response.status, 200);
  for (const char* name : {"fake:voice", "voice"}) {
    const Answer answer = ask_model(name);
    EXPECT_EQ(answer.response.status, 404);
    EXPECT_EQ(answer.json()["error"]["param"], "model");
    EXPECT_EQ(adapters_.asked.back().name, "voice");
  }
}

TEST_F(OpenAi, WhatTheEngineRefusesIsAnAnswerAlsoForAStream) {
  const std::string longer(5000, 'a');
  for (const char* stream : {"false", "true"}) {
    const Answer answer =
        ask("POST", "/v1/completions", R"({"prompt":")" + longer + R"(","stream":)" + stream + "}");
    EXPECT_FALSE(answer.streamed);
    EXPECT_EQ(answer.response.status, 400) << answer.response.body;
  }
  const Answer marker = ask("POST", "/v1/chat/completions",
                            R"({"messages":[{"role":"user","content":"<|im_end|>"}]})");
  EXPECT_EQ(marker.response.status, 400);
}

TEST_F(OpenAi, BeforeTheModelIsThereTheAnswerIs503) {
  Service loading;
  loading.generator = &generator_;
  loading.adapters = &adapters_;
  const std::vector<http::Route> routes = make_routes(loading, false);
  Answer answer;
  http::Request request;
  request.body = "{" + kChat + "}";
  FakeExchange exchange(request, answer);
  boost::asio::io_context context;
  for (const http::Route& route : routes)
    if (route.path == "/v1/chat/completions")
      boost::asio::co_spawn(context, route.handler(exchange), boost::asio::detached);
  context.run();
  EXPECT_EQ(answer.response.status, 503);
  EXPECT_EQ(answer.json()["error"]["type"], "server_error");
}

TEST_F(OpenAi, AClientThatLeavesEndsItsRows) {
  const Answer answer =
      ask("POST", "/v1/completions",
          R"({"prompt":"ab","stream":true,"ignore_eos":true,"max_tokens":4000})", 3);
  EXPECT_EQ(answer.events.size(), 3u);
  generator_.drain();
  EXPECT_LT(generator_.stats().generated_tokens, 3900u);
}

TEST_F(OpenAi, ADeadlineIsA504) {
  service_.request_timeout = std::chrono::seconds(-1);
  const Answer answer = ask("POST", "/v1/completions", R"({"prompt":"ab","max_tokens":10})");
  EXPECT_EQ(answer.response.status, 504) << answer.response.body;
}

}  // namespace
}  // namespace bobby::server
