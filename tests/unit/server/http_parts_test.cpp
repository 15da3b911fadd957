// The transport's parts that need no socket.

#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "server/http/answer.h"
#include "server/http/api_keys.h"
#include "server/http/error_response.h"
#include "server/http/log.h"
#include "server/http/metrics.h"
#include "server/http/origin.h"
#include "server/http/request_parser.h"
#include "server/http/router.h"
#include "server/http/target.h"
#include "unit/app/temporary_folder.h"

namespace bobby::http {
namespace {

TEST(HttpTarget, IsDecodedSegmentBySegment) {
  const auto target = parse_target("/v1/drafts/caf%C3%A9?query=a+b%26c&empty=&bare");
  ASSERT_TRUE(target);
  EXPECT_EQ(target->path, "/v1/drafts/café");
  EXPECT_EQ(target->segments, (std::vector<std::string>{"v1", "drafts", "café"}));
  EXPECT_EQ(target->query.at("query"), "a b&c");
  EXPECT_EQ(target->query.at("empty"), "");
  EXPECT_EQ(target->query.at("bare"), "");
  EXPECT_EQ(target->query.size(), 3u);
}

TEST(HttpTarget, OfTheRootAndOfATrailingSlash) {
  EXPECT_EQ(parse_target("/")->segments, std::vector<std::string>{""});
  EXPECT_EQ(parse_target("/?a=1")->path, "/");
  EXPECT_EQ(parse_target("/v1/")->segments, (std::vector<std::string>{"v1", ""}));
}

TEST(HttpTarget, RefusesWhatCouldNameSomethingElse) {
  for (const char* target : {"",
                             "*",
                             "http://localhost/",
                             "/%",
                             "/%4",
                             "/%zz",
                             "/a%00b",
                             "/a%0ab",
                             "/%ff",
                             "/%c3",
                             "/%ed%a0%80",
                             "/../etc/passwd",
                             "/assets/%2e%2e/x",
                             "/a/./b",
                             "/a%2fb",
                             "/a%5Cb",
                             "/a\\b",
                             "/?q=%ff",
                             "/?q=%",
                             "/?a=1&a=2",
                             "/?a=1&%61=2",
                             "/#x"})
    EXPECT_FALSE(parse_target(target)) << target;
}

Route route_to(std::string method, std::string path) {
  Route route;
  route.method = std::move(method);
  route.path = std::move(path);
  route.handler = [](Exchange&) -> boost::asio::awaitable<void> { co_return; };
  return route;
}

TEST(HttpRouter, PrefersWhatIsLiteral) {
  const auto router =
      Router::make({route_to("GET", "/v1/{kind}/{id}"), route_to("GET", "/v1/drafts/{id}"),
                    route_to("GET", "/"), route_to("DELETE", "/v1/drafts/{id}")});
  ASSERT_TRUE(router);
  const Match draft = router->find("GET", {"v1", "drafts", "12"});
  ASSERT_NE(draft.route, nullptr);
  EXPECT_EQ(draft.route->path, "/v1/drafts/{id}");
  EXPECT_EQ(draft.parts.at("id"), "12");
  const Match other = router->find("HEAD", {"v1", "posts", "3"});
  ASSERT_NE(other.route, nullptr);
  EXPECT_EQ(other.route->path, "/v1/{kind}/{id}");
  EXPECT_EQ(router->find("GET", {"v1", "drafts", ""}).route, nullptr) << "a part is not empty";
  EXPECT_NE(router->find("GET", {""}).route, nullptr);
}

TEST(HttpRouter, NamesTheMethodsOfAPath) {
  const auto router = Router::make({route_to("GET", "/a"), route_to("POST", "/a")});
  const Match match = router->find("PUT", {"a"});
  EXPECT_EQ(match.route, nullptr);
  EXPECT_EQ(match.allowed, (std::vector<std::string>{"GET", "HEAD", "POST"}));
  EXPECT_TRUE(router->find("GET", {"b"}).allowed.empty());
}

TEST(HttpRouter, RefusesARouteGivenTwice) {
  EXPECT_FALSE(Router::make({route_to("GET", "/a"), route_to("GET", "/a")}));
  EXPECT_FALSE(Router::make({route_to("GET", "a")}));
}

TEST(HttpOrigin, LoopbackNames) {
  for (const char* host :
       {"localhost", "LOCALHOST:8080", "127.0.0.1", "127.0.0.1:1", "[::1]", "[::1]:8080"})
    EXPECT_TRUE(is_loopback_host(host)) << host;
  for (const char* host :
       {"", "localhost.evil.example", "evil.example", "127.0.0.1.nip.io",
        "localhost:", "localhost:8o", "localhost:80@evil", "[::1]x", "127.0.0.2"})
    EXPECT_FALSE(is_loopback_host(host)) << host;
}

TEST(HttpOrigin, OwnAllowedAndForeign) {
  const std::vector<std::string> allowed = {"https://Posts.example", "http://localhost:3000"};
  const auto origins = Origins::make(allowed);
  ASSERT_TRUE(origins);
  using Kind = Origins::Kind;
  EXPECT_EQ(origins->kind("http://localhost:8080", "localhost:8080"), Kind::kOwn);
  EXPECT_EQ(origins->kind("https://bobby.example", "bobby.example"), Kind::kOwn);
  EXPECT_EQ(origins->kind("https://bobby.example:443", "bobby.example"), Kind::kOwn);
  EXPECT_EQ(origins->kind("https://posts.example", "localhost"), Kind::kAllowed);
  EXPECT_EQ(origins->kind("http://posts.example", "localhost"), Kind::kForeign);
  EXPECT_EQ(origins->kind("http://localhost:3001", "localhost:8080"), Kind::kForeign);
  EXPECT_EQ(origins->kind("null", "localhost"), Kind::kForeign);
  EXPECT_EQ(origins->kind("", ""), Kind::kForeign);
  const std::vector<std::string> wrong = {"posts.example"};
  EXPECT_FALSE(Origins::make(wrong));
}

TEST(HttpKeys, AreReadFromAFile) {
  const TemporaryFolder folder;
  const auto path = folder.write("keys", "# mine\n\n  first-key \r\nsecond-key\n");
  std::filesystem::permissions(path, std::filesystem::perms(0600));
  const auto file = read_key_file(path);
  ASSERT_TRUE(file) << file.error().to_string();
  EXPECT_EQ(file->keys, (std::vector<std::string>{"first-key", "second-key"}));
  EXPECT_EQ(file->warning, "");
  std::filesystem::permissions(path, std::filesystem::perms(0644));
  EXPECT_NE(read_key_file(path)->warning.find("chmod 600"), std::string::npos);
}

TEST(HttpKeys, FilesThatHoldNoneAreRefused) {
  const TemporaryFolder folder;
  EXPECT_EQ(read_key_file(folder.path() / "none").error().code, ErrorCode::kNotFound);
  EXPECT_EQ(read_key_file(folder.path()).error().code, ErrorCode::kIo);
  EXPECT_EQ(read_key_file(folder.write("empty", "# no key\n")).error().code, ErrorCode::kUsage);
  const auto bad = read_key_file(folder.write("bad", "good\ntwo words\n"));
  ASSERT_FALSE(bad);
  EXPECT_NE(bad.error().to_string().find("line 2"), std::string::npos);
  EXPECT_EQ(bad.error().to_string().find("two words"), std::string::npos) << "a key is not shown";
}

TEST(HttpKeys, NameTheirClient) {
  const std::vector<std::string> keys = {"first-key", "second-key"};
  const ApiKeys ours(keys);
  const auto first = ours.client_of("first-key");
  const auto second = ours.client_of("second-key");
  ASSERT_TRUE(first && second);
  EXPECT_NE(*first, *second);
  EXPECT_EQ(first, ours.client_of("first-key"));
  EXPECT_EQ(first->find("first"), std::string::npos);
  for (const char* wrong : {"", "first-ke", "first-key ", "FIRST-KEY", "third-key"})
    EXPECT_FALSE(ours.client_of(wrong)) << wrong;
  EXPECT_NE(ApiKeys(keys).client_of("first-key"), first) << "the salt is the process's own";
}

TEST(HttpLog, ALineCannotBeForged) {
  LogLine line{.time = std::chrono::system_clock::time_point(std::chrono::milliseconds(1500)),
               .id = "a1",
               .method = "GET",
               .path = "/x y\"=\xff",
               .status = 200,
               .milliseconds = 1.26,
               .bytes = 12,
               .client = "127.0.0.1",
               .note = "first\nsecond"};
  EXPECT_EQ(as_logfmt(line),
            "time=1970-01-01T00:00:01.500Z id=a1 method=GET path=\"/x y\\\"=\\ufffd\" status=200 "
            "ms=1.3 bytes=12 client=127.0.0.1 note=\"first\\nsecond\"");
  const auto json = nlohmann::json::parse(as_json(line));
  EXPECT_EQ(json["status"], 200);
  EXPECT_EQ(json["ms"], 1.3);
  EXPECT_EQ(json["note"], "first\nsecond");
  line.note.clear();
  line.method.clear();
  EXPECT_NE(as_logfmt(line).find(" method=- "), std::string::npos);
  EXPECT_FALSE(nlohmann::json::parse(as_json(line)).contains("note"));
}

TEST(HttpMetrics, CountByRouteAndClass) {
  Metrics metrics;
  metrics.count("GET", "/a", 200, 0.004, 10);
  metrics.count("GET", "/a", 404, 0.005, 10);
  metrics.count("GET", "/a", 500, 1000, 1);
  metrics.count("POST", "/a", 200, 0.02, 5);
  const TransportCounts counts = metrics.snapshot();
  ASSERT_EQ(counts.routes.size(), 2u);
  const RouteCounts& get = counts.routes[0];
  EXPECT_EQ(get.method, "GET");
  EXPECT_EQ(get.route, "/a");
  EXPECT_EQ(get.by_class, (std::array<std::uint64_t, 5>{0, 1, 0, 1, 1}));
  EXPECT_EQ(get.durations.front(), 2u) << "a bound belongs to its bucket";
  EXPECT_EQ(get.durations.back(), 1u);
  EXPECT_EQ(get.bytes, 21u);
}

TEST(HttpAnswer, FieldsCannotBeForged) {
  Response response;
  response.fields = {{"X-Note", "one\r\nSet-Cookie: two"}};
  const std::string text = answer_text(response, {.id = "i"});
  EXPECT_EQ(text.find("\r\nSet-Cookie"), std::string::npos);
  EXPECT_NE(text.find("X-Note: one  Set-Cookie: two\r\n"), std::string::npos);
}

TEST(HttpAnswer, ErrorsAreOpenAis) {
  const auto error =
      nlohmann::json::parse(error_response(429, "busy", "bad \xff byte").body)["error"];
  EXPECT_EQ(error["type"], "rate_limit_error");
  EXPECT_EQ(error["code"], "busy");
  EXPECT_TRUE(error["param"].is_null());
  EXPECT_EQ(error["message"], "bad \xEF\xBF\xBD byte");
}

TEST(HttpAnswer, EventsHaveNoLineEndsInside) {
  EXPECT_EQ(event_text("{}"), "data: {}\n\n");
  EXPECT_EQ(event_text("a\r\nb"), "data: a\ndata: b\n\n");
  EXPECT_EQ(chunk_text("0123456789abcdef"), "10\r\n0123456789abcdef\r\n");
}

// Whatever is cut where, the parser says the same.
TEST(HttpParser, ReadsByteByByte) {
  const std::string text =
      "POST /a HTTP/1.1\r\nHost: x\r\nX-Many: 1\r\nTransfer-Encoding: chunked\r\nX-Many: 2\r\n\r\n"
      "3;ext=1\r\nabc\r\n2\r\nde\r\n0\r\nTrailer: x\r\n\r\n";
  RequestParser parser(1024);
  std::string inbox;
  bool head_done = false;
  std::size_t given = 0;
  for (const char byte : text) {
    inbox += byte;
    ++given;
    auto step = head_done ? parser.read_body(inbox) : parser.read_head(inbox);
    ASSERT_NE(step.state, RequestParser::State::kFailed) << step.problem;
    inbox.erase(0, step.consumed);
    if (step.state != RequestParser::State::kReady) continue;
    if (head_done) break;
    head_done = true;
    EXPECT_TRUE(parser.head().has_body);
    EXPECT_EQ(parser.head().fields.at("x-many"), "1, 2");
  }
  EXPECT_EQ(given, text.size());
  EXPECT_EQ(parser.take_body(), "abcde");
}

}  // namespace
}  // namespace bobby::http
