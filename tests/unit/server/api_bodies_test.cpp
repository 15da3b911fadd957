// What is wrong with a body is said with the field's name.

#include <gtest/gtest.h>
#include <string>
#include <vector>

#include "server/api/errors.h"
#include "server/api/openai_request.h"
#include "server/api/posts_request.h"

namespace bobby::server {
namespace {

enum class Kind { kChat, kCompletion, kPosts };

struct Bad {
  Kind kind;
  std::string body;
  std::string field;  ///< that the error names; "": none
};

std::string chat(const std::string& more) {
  return R"({"messages":[{"role":"user","content":"Hi"}],)" + more + "}";
}
std::string message(const std::string& text) {
  return R"({"messages":[)" + text + "]}";
}
std::string completion(const std::string& more) {
  return R"({"prompt":"Hi",)" + more + "}";
}
std::string nested(int depth) {
  return std::string(static_cast<std::size_t>(depth), '[') +
         std::string(static_cast<std::size_t>(depth), ']');
}

std::vector<Bad> bad_bodies() {
  std::vector<Bad> bad = {
      {Kind::kChat, "", ""},
      {Kind::kChat, " \n", ""},
      {Kind::kChat, "{", ""},
      {Kind::kChat, "[]", ""},
      {Kind::kChat, "1", ""},
      {Kind::kChat, "null", ""},
      {Kind::kChat, "{}x", ""},
      {Kind::kChat, "{'a':1}", ""},
      {Kind::kChat, "{\"a\":1,}", ""},
      {Kind::kChat, "{\"a\":NaN}", ""},
      {Kind::kChat, "{\"user\":\"\xff\"}", ""},
      {Kind::kChat, "{\"user\":\"\xed\xa0\x80\"}", ""},
      {Kind::kChat, R"({"user":"\ud800"})", ""},
      {Kind::kChat, "{\"temperature\":1e999}", ""},
      {Kind::kChat, R"({"n":1,"n":2})", ""},
      {Kind::kChat, chat(R"("user":")" + std::string("a\nb") + "\""), ""},
      {Kind::kChat, chat("\"stop\":" + nested(40)), ""},
      {Kind::kChat, chat("\"stop\":" + nested(100000)), ""},
      {Kind::kChat, R"({"messages":[{"role":"user","role":"user","content":"a"}]})", ""},
      // Unknown fields, and OpenAI's that are not supported.
      {Kind::kChat, chat(R"("temprature":1)"), "temprature"},
      {Kind::kChat, chat(R"("prompt":"Hi")"), "prompt"},
      {Kind::kChat, chat(R"("":1)"), ""},
      {Kind::kChat, chat(R"("tools":[{"type":"function"}])"), "tools"},
      {Kind::kChat, chat(R"("tool_choice":"required")"), "tool_choice"},
      {Kind::kChat, chat(R"("functions":[{}])"), "functions"},
      {Kind::kChat, chat(R"("function_call":"auto")"), "function_call"},
      {Kind::kChat, chat(R"("audio":{"voice":"x"})"), "audio"},
      {Kind::kChat, chat(R"("modalities":["audio"])"), "modalities"},
      {Kind::kChat, chat(R"("prediction":{"type":"content"})"), "prediction"},
      {Kind::kChat, chat(R"("store":true)"), "store"},
      {Kind::kChat, chat(R"("metadata":{"a":"b"})"), "metadata"},
      {Kind::kChat, chat(R"("reasoning_effort":"high")"), "reasoning_effort"},
      {Kind::kChat, chat(R"("service_tier":"flex")"), "service_tier"},
      {Kind::kCompletion, completion(R"("echo":true)"), "echo"},
      {Kind::kCompletion, completion(R"("best_of":2)"), "best_of"},
      {Kind::kCompletion, completion(R"("suffix":"end")"), "suffix"},
      // Messages.
      {Kind::kChat, "{}", "messages"},
      {Kind::kChat, R"({"messages":null})", "messages"},
      {Kind::kChat, R"({"messages":"Hi"})", "messages"},
      {Kind::kChat, R"({"messages":[]})", "messages"},
      {Kind::kChat, message("1"), "messages[0]"},
      {Kind::kChat, message("{}"), "messages[0].role"},
      {Kind::kChat, message(R"({"role":"user"})"), "messages[0].content"},
      {Kind::kChat, message(R"({"role":"user","content":null})"), "messages[0].content"},
      {Kind::kChat, message(R"({"role":"user","content":5})"), "messages[0].content"},
      {Kind::kChat, message(R"({"role":"robot","content":"a"})"), "messages[0].role"},
      {Kind::kChat, message(R"({"role":"tool","content":"a"})"), "messages[0].role"},
      {Kind::kChat, message(R"({"role":7,"content":"a"})"), "messages[0].role"},
      {Kind::kChat, message(R"({"role":"user","content":"a"},{"role":"x","content":"a"})"),
       "messages[1].role"},
      {Kind::kChat, message(R"({"role":"user","content":"a","text":1})"), "messages[0].text"},
      {Kind::kChat, message(R"({"role":"user","content":"a","name":"Ann"})"), "messages[0].name"},
      {Kind::kChat, message(R"({"role":"assistant","content":"a","tool_calls":[{}]})"),
       "messages[0].tool_calls"},
      {Kind::kChat, message(R"({"role":"user","content":[1]})"), "messages[0].content[0]"},
      {Kind::kChat, message(R"({"role":"user","content":[{}]})"), "messages[0].content[0].type"},
      {Kind::kChat, message(R"({"role":"user","content":[{"type":"text"}]})"),
       "messages[0].content[0].text"},
      {Kind::kChat, message(R"({"role":"user","content":[{"type":"text","text":3}]})"),
       "messages[0].content[0].text"},
      {Kind::kChat, message(R"({"role":"user","content":[{"type":"image_url","image_url":{}}]})"),
       "messages[0].content[0].type"},
      // What goes with something else.
      {Kind::kChat, chat(R"("top_logprobs":3)"), "top_logprobs"},
      {Kind::kChat, chat(R"("logprobs":true,"top_logprobs":21)"), "top_logprobs"},
      {Kind::kChat, chat(R"("logprobs":3)"), "logprobs"},
      {Kind::kChat, chat(R"("stream_options":{"include_usage":true})"), "stream_options"},
      {Kind::kChat, chat(R"("stream":true,"stream_options":{"x":1})"), "stream_options.x"},
      {Kind::kChat, chat(R"("stream":true,"stream_options":{"include_usage":1})"),
       "stream_options.include_usage"},
      {Kind::kChat, chat(R"("stream":true,"stream_options":[])"), "stream_options"},
      {Kind::kChat, chat(R"("max_tokens":5,"max_completion_tokens":6)"), "max_completion_tokens"},
      {Kind::kChat, chat(R"("response_format":{"type":"json_object"})"), "response_format.type"},
      {Kind::kChat, chat(R"("response_format":{"kind":"text"})"), "response_format.kind"},
      {Kind::kChat, chat(R"("response_format":"text")"), "response_format"},
      // Lists and objects.
      {Kind::kChat, chat(R"("stop":5)"), "stop"},
      {Kind::kChat, chat(R"("stop":"")"), "stop"},
      {Kind::kChat, chat(R"("stop":[""])"), "stop"},
      {Kind::kChat, chat(R"("stop":[1])"), "stop"},
      {Kind::kChat,
       chat(R"("stop":["a","b","c","d","e","f","g","h","i","j","k","l","m","n","o","p","q"])"),
       "stop"},
      {Kind::kChat, chat(R"("logit_bias":[])"), "logit_bias"},
      {Kind::kChat, chat(R"("logit_bias":{"a":1})"), "logit_bias"},
      {Kind::kChat, chat(R"("logit_bias":{"-1":1})"), "logit_bias"},
      {Kind::kChat, chat(R"("logit_bias":{"1":101})"), "logit_bias"},
      {Kind::kChat, chat(R"("logit_bias":{"1":"x"})"), "logit_bias"},
      {Kind::kChat, chat(R"("lora":{})"), "lora"},
      {Kind::kChat, chat(R"("lora":["a"])"), "lora[0]"},
      {Kind::kChat, chat(R"("lora":[{}])"), "lora[0].name"},
      {Kind::kChat, chat(R"("lora":[{"name":"a","scale":"x"}])"), "lora[0].scale"},
      {Kind::kChat, chat(R"("lora":[{"name":"a","id":1}])"), "lora[0].id"},
      // Prompts.
      {Kind::kCompletion, "{}", "prompt"},
      {Kind::kCompletion, R"({"prompt":""})", "prompt"},
      {Kind::kCompletion, R"({"prompt":[]})", "prompt"},
      {Kind::kCompletion, R"({"prompt":{}})", "prompt"},
      {Kind::kCompletion, R"({"prompt":5})", "prompt"},
      {Kind::kCompletion, R"({"prompt":["a",""]})", "prompt[1]"},
      {Kind::kCompletion, R"({"prompt":["a",5]})", "prompt[1]"},
      {Kind::kCompletion, R"({"prompt":[1,-2]})", "prompt"},
      {Kind::kCompletion, R"({"prompt":[1.5]})", "prompt"},
      {Kind::kCompletion, R"({"prompt":[99999999999]})", "prompt"},
      {Kind::kCompletion, R"({"prompt":[[1],[]]})", "prompt[1]"},
      {Kind::kCompletion, completion(R"("logprobs":true)"), "logprobs"},
      {Kind::kCompletion, completion(R"("logprobs":21)"), "logprobs"},
      {Kind::kCompletion, completion(R"("messages":[])"), "messages"},
      // Posts.
      {Kind::kPosts, "[]", ""},
      {Kind::kPosts, R"({"prompt":""})", "prompt"},
      {Kind::kPosts, R"({"prompt":1})", "prompt"},
      {Kind::kPosts, R"({"count":0})", "count"},
      {Kind::kPosts, R"({"count":11})", "count"},
      {Kind::kPosts, R"({"count":"3"})", "count"},
      {Kind::kPosts, R"({"count":2.5})", "count"},
      {Kind::kPosts, R"({"cuont":2})", "cuont"},
      {Kind::kPosts, R"({"char_limit":-1})", "char_limit"},
      {Kind::kPosts, R"({"min_chars":-1})", "min_chars"},
      {Kind::kPosts, R"({"retries":101})", "retries"},
      {Kind::kPosts, R"({"keep_emojis":1})", "keep_emojis"},
      {Kind::kPosts, R"({"keep_hashtags":"no"})", "keep_hashtags"},
      {Kind::kPosts, R"({"hard_limit":[]})", "hard_limit"},
      {Kind::kPosts, R"({"raw":0})", "raw"},
      {Kind::kPosts, R"({"system":{}})", "system"},
      {Kind::kPosts, R"({"adapters":"a"})", "adapters"},
      {Kind::kPosts, R"({"adapters":[{"scale":1}]})", "adapters[0].name"},
      {Kind::kPosts, R"({"stream":"true"})", "stream"},
      {Kind::kPosts, R"({"n":2})", "n"},
  };
  // Ranges and types that all three share.
  struct Value {
    const char* field;
    std::vector<const char*> values;
  };
  const std::vector<Value> shared = {
      {"max_tokens", {"0", "-1", "1.5", "\"5\"", "1000001", "true", "[]", "1e30"}},
      {"temperature", {"-0.1", "10.1", "\"hot\"", "{}", "false"}},
      {"top_p", {"-0.1", "1.1", "\"1\""}},
      {"top_k", {"-1", "0.5", "\"1\""}},
      {"min_p", {"-0.1", "1.1"}},
      {"seed", {"-1", "9007199254740992", "18446744073709551616", "\"7\"", "0.5"}},
      {"stream", {"1", "\"yes\""}}};
  for (const Value& each : shared)
    for (const char* value : each.values) {
      const std::string field = std::string("\"") + each.field + "\":" + value;
      bad.push_back({Kind::kChat, chat(field), each.field});
      bad.push_back({Kind::kCompletion, completion(field), each.field});
      bad.push_back({Kind::kPosts, "{" + field + "}", each.field});
    }
  const std::vector<Value> openai = {{"n", {"0", "129", "\"2\""}},
                                     {"presence_penalty", {"-2.1", "2.1", "\"a\""}},
                                     {"frequency_penalty", {"-2.1", "2.1", "[]"}},
                                     {"repetition_penalty", {"0", "11"}},
                                     {"user", {"5"}},
                                     {"model", {"5", "{}"}},
                                     {"ignore_eos", {"1"}}};
  for (const Value& each : openai)
    for (const char* value : each.values) {
      const std::string field = std::string("\"") + each.field + "\":" + value;
      bad.push_back({Kind::kChat, chat(field), each.field});
      bad.push_back({Kind::kCompletion, completion(field), each.field});
    }
  return bad;
}

Result<void> parse(const Bad& bad) {
  if (bad.kind == Kind::kChat) {
    BOBBY_CHECK(parse_chat_request(bad.body));
  } else if (bad.kind == Kind::kCompletion) {
    BOBBY_CHECK(parse_completion_request(bad.body));
  } else {
    BOBBY_CHECK(parse_posts_body(bad.body));
  }
  return {};
}

TEST(ApiBodies, WhatIsWrongIsRefusedByName) {
  const std::vector<Bad> bodies = bad_bodies();
  EXPECT_GE(bodies.size(), 200u);
  for (const Bad& bad : bodies) {
    const std::string shown = bad.body.substr(0, 200);
    const Result<void> parsed = parse(bad);
    ASSERT_FALSE(parsed) << shown;
    const http::Response response = field_error_response(parsed.error());
    EXPECT_EQ(response.status, 400) << shown;
    const Json error = Json::parse(response.body)["error"];
    EXPECT_EQ(error["type"], "invalid_request_error");
    EXPECT_EQ(error["param"].is_null() ? "" : error["param"].get<std::string>(), bad.field)
        << shown << " " << error["message"];
    EXPECT_EQ(error["message"].get<std::string>().find('\n'), std::string::npos);
  }
}

TEST(ApiBodies, AnUnknownFieldNamesTheNearest) {
  const auto parsed = parse_chat_request(chat(R"("temprature":1)"));
  EXPECT_NE(parsed.error().to_string().find("the nearest is 'temperature'"), std::string::npos);
}

TEST(ApiBodies, BadJsonSaysWhere) {
  const auto parsed = parse_body("{\"a\":1,}");
  EXPECT_NE(parsed.error().to_string().find("at byte 8"), std::string::npos)
      << parsed.error().to_string();
}

TEST(ApiBodies, WhatAsksForNothingIsTaken) {
  for (const char* more :
       {R"("tools":[])", R"("tools":null)", R"("tool_choice":"none")", R"("tool_choice":"auto")",
        R"("audio":null)", R"("functions":[])", R"("parallel_tool_calls":true)", R"("store":false)",
        R"("metadata":{})", R"("modalities":["text"])", R"("service_tier":"auto")",
        R"("response_format":{"type":"text"})", R"("response_format":null)", R"("top_logprobs":0)",
        R"("temperature":null)", R"("stop":null)", R"("seed":null)", R"("logit_bias":null)"}) {
    const auto parsed = parse_chat_request(chat(more));
    EXPECT_TRUE(parsed) << more << ": " << parsed.error().to_string();
  }
}

TEST(ApiBodies, EveryFieldArrives) {
  const auto parsed = parse_chat_request(R"({"model":"demo:voice","messages":[
      {"role":"system","content":"S"},
      {"role":"user","content":[{"type":"text","text":"a"},{"type":"text","text":"b"}]}],
      "max_completion_tokens":7,"temperature":0,"top_p":0.5,"n":3,"stop":["x","y"],"seed":9,
      "stream":true,"stream_options":{"include_usage":true},"logprobs":true,"top_logprobs":4,
      "logit_bias":{"12":-100,"3":1.5},"presence_penalty":1,"frequency_penalty":-1,"user":"u",
      "top_k":8,"min_p":0.25,"repetition_penalty":1.5,"lora":[{"name":"v","scale":2}],
      "ignore_eos":true})");
  ASSERT_TRUE(parsed) << parsed.error().to_string();
  EXPECT_EQ(parsed->model, "demo:voice");
  ASSERT_EQ(parsed->messages.size(), 2u);
  EXPECT_EQ(parsed->messages[1], (ChatMessage{Role::kUser, "ab"}));
  EXPECT_EQ(parsed->max_tokens, 7);
  EXPECT_EQ(parsed->sampling.temperature, 0.0);
  EXPECT_EQ(parsed->sampling.top_p, 0.5);
  EXPECT_EQ(parsed->sampling.top_k, 8);
  EXPECT_EQ(parsed->sampling.min_p, 0.25);
  EXPECT_EQ(parsed->sampling.repetition_penalty, 1.5);
  EXPECT_EQ(parsed->sampling.presence_penalty, 1.0);
  EXPECT_EQ(parsed->sampling.frequency_penalty, -1.0);
  EXPECT_EQ(parsed->sampling.logit_bias.size(), 2u);
  EXPECT_EQ(parsed->n, 3);
  EXPECT_EQ(parsed->stop, (std::vector<std::string>{"x", "y"}));
  EXPECT_EQ(parsed->seed, 9u);
  EXPECT_TRUE(parsed->stream && parsed->include_usage && parsed->ignore_eos);
  EXPECT_EQ(parsed->top_logprobs, 4);
  ASSERT_EQ(parsed->lora.size(), 1u);
  EXPECT_EQ(parsed->lora[0], (AdapterChoice{"v", 2.0f}));
}

TEST(ApiBodies, PromptsOfEveryKind) {
  const auto several = parse_completion_request(R"({"prompt":["a","b"]})");
  ASSERT_TRUE(several);
  EXPECT_EQ(several->prompts.size(), 2u);
  const auto tokens = parse_completion_request(R"({"prompt":[1,2,3.0]})");
  ASSERT_TRUE(tokens);
  EXPECT_EQ(std::get<1>(tokens->prompts.at(0)), (std::vector<std::int32_t>{1, 2, 3}));
  const auto lists = parse_completion_request(R"({"prompt":[[1],[2,3]]})");
  ASSERT_TRUE(lists);
  EXPECT_EQ(std::get<1>(lists->prompts.at(1)), (std::vector<std::int32_t>{2, 3}));
}

TEST(ApiErrors, EveryCodeHasItsStatus) {
  using enum ErrorCode;
  const std::vector<std::pair<ErrorCode, int>> statuses = {
      {kUsage, 400},     {kMalformed, 400}, {kUnsupported, 400}, {kMismatch, 400},
      {kLimit, 400},     {kNotFound, 404},  {kBusy, 429},        {kTimeout, 504},
      {kCancelled, 503}, {kIo, 500},        {kNumeric, 500},     {kInternal, 500}};
  for (const auto& [code, status] : statuses) {
    const http::Response response = error_response({.code = code, .problem = "is so"});
    EXPECT_EQ(response.status, status);
    EXPECT_EQ(Json::parse(response.body)["error"]["code"], code_name(code));
  }
  const http::Response busy = error_response({.code = kBusy, .problem = "is so"});
  EXPECT_EQ(Json::parse(busy.body)["error"]["type"], "rate_limit_error");
  ASSERT_FALSE(busy.fields.empty());
  EXPECT_EQ(busy.fields[0].first, "Retry-After");
}

}  // namespace
}  // namespace bobby::server
