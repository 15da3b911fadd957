// Requests as bytes on a socket: routing, bodies, order, limits, time.

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "unit/server/http_fixture.h"

namespace bobby::http {
namespace {

std::vector<Route> echo_routes() {
  return {{.method = "GET", .path = "/", .handler = echo},
          {.method = "GET", .path = "/v1/drafts/{id}", .handler = echo},
          {.method = "DELETE", .path = "/v1/drafts/{id}", .handler = echo},
          {.method = "POST", .path = "/v1/posts", .handler = echo, .body_limit = 1000},
          {.method = "POST", .path = "/large", .handler = echo, .body_limit = 1 << 20}};
}

ServerOptions hasty() {
  ServerOptions options;
  options.limits.header_time = 150ms;
  options.limits.body_time = 150ms;
  options.limits.idle_time = 150ms;
  return options;
}

nlohmann::json error_of(const Answer& answer) {
  return nlohmann::json::parse(answer.body)["error"];
}

TEST(HttpRequests, ReachTheirRoute) {
  RunningServer server(echo_routes());
  Client client(server.port());
  client.get("/v1/drafts/caf%C3%A9?query=a+b");
  const Answer answer = client.answer();
  EXPECT_EQ(answer.status, 200);
  EXPECT_EQ(answer.body, "GET /v1/drafts/café id=café ?query=a b");
  EXPECT_EQ(answer.field("content-type"), "text/plain");
  EXPECT_EQ(answer.field("x-content-type-options"), "nosniff");
  EXPECT_EQ(answer.field("referrer-policy"), "no-referrer");
  EXPECT_TRUE(answer.field("date").ends_with(" GMT"));
  client.send("DELETE /v1/drafts/7 HTTP/1.1\r\nHost: localhost\r\n\r\n");
  EXPECT_EQ(client.answer().body, "DELETE /v1/drafts/7 id=7") << "the connection is kept";
}

TEST(HttpRequests, ElsewhereThereIsNothing) {
  RunningServer server(echo_routes());
  Client client(server.port());
  client.get("/v1/nothing");
  const Answer missing = client.answer();
  EXPECT_EQ(missing.status, 404);
  EXPECT_EQ(error_of(missing)["message"], "there is nothing at '/v1/nothing'");
  EXPECT_EQ(error_of(missing)["type"], "invalid_request_error");
  EXPECT_EQ(error_of(missing)["code"], "not_found");
  client.send("PUT /v1/drafts/7 HTTP/1.1\r\nHost: localhost\r\n\r\n");
  const Answer wrong = client.answer();
  EXPECT_EQ(wrong.status, 405);
  EXPECT_EQ(wrong.field("allow"), "DELETE, GET, HEAD");
  client.send("BREW / HTTP/1.1\r\nHost: localhost\r\n\r\n");
  EXPECT_EQ(client.answer().status, 405);
}

TEST(HttpRequests, HeadIsGetWithoutTheBody) {
  RunningServer server(echo_routes());
  Client client(server.port());
  client.send("HEAD / HTTP/1.1\r\nHost: localhost\r\n\r\n");
  const Answer head = client.answer(true);
  EXPECT_EQ(head.status, 200);
  EXPECT_EQ(head.field("content-length"), "6");
  client.get("/");
  EXPECT_EQ(client.answer().body, "GET /") << "nothing of the first answer's body was sent";
}

TEST(HttpRequests, TargetsThatCouldNameAFileElsewhereAreRefused) {
  RunningServer server(echo_routes());
  Client client(server.port());
  for (const char* path : {"/../../etc/passwd", "/%2e%2e/etc/passwd", "/v1/drafts/..%2f..%2fkeys",
                           "/v1/drafts/%ff", "/v1/drafts/%zz", "/?a=1&a=2"}) {
    client.get(path);
    const Answer answer = client.answer();
    EXPECT_EQ(answer.status, 400) << path;
    EXPECT_EQ(error_of(answer)["code"], "malformed") << path;
  }
}

TEST(HttpRequests, BodiesByLengthAndInChunks) {
  RunningServer server(echo_routes());
  Client client(server.port());
  client.post("/v1/posts", "hello");
  EXPECT_EQ(client.answer().body, "POST /v1/posts [hello]");
  client.send(
      "POST /v1/posts HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
      "5\r\nhello\r\n");
  std::this_thread::sleep_for(20ms);
  client.send("6; name=\"v\"\r\n world\r\n0\r\nTrailer: x\r\n\r\n");
  EXPECT_EQ(client.answer().body, "POST /v1/posts [hello world]");
  const std::string large(1 << 20, 'x');
  client.post("/large", large);
  EXPECT_EQ(client.answer().body, "POST /large [" + large + "]");
}

TEST(HttpRequests, AreToldToContinueOnlyIfTheirBodyIsWanted) {
  RunningServer server(echo_routes());
  const std::string head = "POST /v1/posts HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\n";
  Client client(server.port());
  client.send(head + "Content-Length: 5\r\n\r\n");
  EXPECT_EQ(client.read_until("\r\n\r\n"), "HTTP/1.1 100 Continue\r\n\r\n");
  client.send("hello");
  EXPECT_EQ(client.answer().body, "POST /v1/posts [hello]");
  client.send(head + "Content-Length: 5000\r\n\r\n");
  EXPECT_EQ(client.answer().status, 413);
  Client other(server.port());
  other.send("POST /v1/posts HTTP/1.1\r\nHost: localhost\r\nExpect: more\r\n\r\n");
  EXPECT_EQ(other.answer().status, 417);
}

TEST(HttpRequests, ThatArePipelinedAreAnsweredInOrder) {
  std::atomic<int> running = 0;
  std::atomic<int> most = 0;
  const Handler slow_first = [&](Exchange& exchange) -> boost::asio::awaitable<void> {
    most = std::max(most.load(), ++running);
    if (exchange.request().parts.at("id") == "0") co_await pause(50ms);
    --running;
    co_await echo(exchange);
  };
  RunningServer server({{.method = "POST", .path = "/{id}", .handler = slow_first}});
  Client client(server.port());
  std::string all;
  for (int i = 0; i < 300; ++i)  // more than is read ahead while the first is answered
    all += fmt::format("POST /{} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 500\r\n\r\n{:0500}",
                       i, i);
  client.send(all);
  for (int i = 0; i < 300; ++i)
    ASSERT_EQ(client.answer().body, fmt::format("POST /{0} id={0} [{0:0500}]", i));
  EXPECT_EQ(most, 1);
}

TEST(HttpRequests, ThatAreNotHttpAreRefusedAndTheConnectionCloses) {
  RunningServer server(echo_routes());
  const std::pair<const char*, int> cases[] = {
      {"\x16\x03\x01\x02 hello of TLS\r\n\r\n", 400},
      {"GET\r\n\r\n", 400},
      {"GET / HTTP/1.1\nHost: localhost\n\n", 400},
      {"GET / HTTP/2.0\r\nHost: localhost\r\n\r\n", 400},
      {"G@T / HTTP/1.1\r\nHost: localhost\r\n\r\n", 400},
      {"GET / HTTP/1.1\r\nHost localhost\r\n\r\n", 400},
      {"GET / HTTP/1.1\r\nHost : localhost\r\n\r\n", 400},
      {"POST /v1/posts HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n", 400},
      {"POST /v1/posts HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nContent-Length: 2"
       "\r\n\r\nab",
       400},
      {"POST /v1/posts HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\n"
       "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
       400},
      {"POST /v1/posts HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: gzip\r\n\r\n", 400},
      {"POST /v1/posts HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
       400},
      {"GET http://localhost/ HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", 400},
      {"GET / HTTP/1.1\r\nConnection: close\r\n\r\n", 400},
      {"GET / HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\nConnection: close\r\n\r\n", 400}};
  for (const auto& [bytes, status] : cases) {
    Client client(server.port());
    client.send(bytes);
    const Answer answer = client.answer();
    EXPECT_EQ(answer.status, status) << bytes;
    EXPECT_EQ(answer.field("connection"), "close") << bytes;
    EXPECT_FALSE(answer.field("x-request-id").empty());
    EXPECT_TRUE(client.is_closed()) << bytes;
  }
}

TEST(HttpRequests, ThatAreTooLargeAreRefused) {
  RunningServer server(echo_routes());
  Client header(server.port());
  header.get("/", "X-Long: " + std::string(17 << 10, 'x') + "\r\n");
  EXPECT_EQ(header.answer().status, 431);
  EXPECT_TRUE(header.is_closed());
  Client fits(server.port());
  fits.get("/", "X-Long: " + std::string(15 << 10, 'x') + "\r\n");
  EXPECT_EQ(fits.answer().status, 200);

  Client body(server.port());
  body.post("/v1/posts", std::string(1000, 'x'));
  EXPECT_EQ(body.answer().status, 200);
  body.post("/v1/posts", std::string(1001, 'x'));
  const Answer answer = body.answer();
  EXPECT_EQ(answer.status, 413);
  EXPECT_EQ(error_of(answer)["code"], "limit");
  EXPECT_TRUE(body.is_closed());

  Client chunked(server.port());
  chunked.send("POST /v1/posts HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n");
  for (int i = 0; i < 11; ++i) chunked.send("64\r\n" + std::string(100, 'x') + "\r\n");
  EXPECT_EQ(chunked.answer().status, 413);

  Client extension(server.port());
  extension.send(
      "POST /v1/posts HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n");
  extension.send("1;" + std::string(40 << 10, 'x'));
  EXPECT_EQ(extension.answer().status, 431);
}

TEST(HttpRequests, AnAnswerSurvivesTheBodyThatItDidNotWait) {
  RunningServer server(echo_routes());
  for (int i = 0; i < 20; ++i) {
    Client client(server.port());
    client.post("/v1/nothing", std::string(300 << 10, 'x'));
    EXPECT_EQ(client.answer().status, 404);
  }
}

TEST(HttpRequests, ThatComeTooSlowlyAreRefused) {
  RunningServer server(echo_routes(), hasty());
  Client silent(server.port());
  EXPECT_TRUE(silent.is_closed()) << "no word, no answer";

  Client header(server.port());
  header.send("GET / HTTP/1.1\r\nHost: loc");
  const Answer answer = header.answer();
  EXPECT_EQ(answer.status, 408);
  EXPECT_EQ(error_of(answer)["code"], "timeout");
  EXPECT_TRUE(header.is_closed());

  Client dripping(server.port());  // a byte now and then does not help
  for (const char byte : std::string_view("GET / HTTP/1.1\r\nHost: l")) {
    if (!dripping.send({&byte, 1})) break;
    std::this_thread::sleep_for(20ms);
  }
  EXPECT_EQ(dripping.answer().status, 408);

  Client body(server.port());
  body.send("POST /v1/posts HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\nhel");
  EXPECT_EQ(body.answer().status, 408);
  EXPECT_TRUE(body.is_closed());

  Client idle(server.port());
  idle.get("/");
  EXPECT_EQ(idle.answer().status, 200);
  EXPECT_TRUE(idle.is_closed());
  EXPECT_TRUE(soon([&] { return server->metrics().connections_open == 0; }));
}

TEST(HttpRequests, OfHttp10AndThoseThatAskForItCloseTheConnection) {
  RunningServer server(echo_routes());
  Client old(server.port());
  old.send("GET / HTTP/1.0\r\n\r\n");
  EXPECT_EQ(old.answer().body, "GET /");
  EXPECT_TRUE(old.is_closed());
  Client kept(server.port());
  kept.send("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
  EXPECT_EQ(kept.answer().field("connection"), "keep-alive");
  kept.get("/", "Connection: close\r\n");
  EXPECT_EQ(kept.answer().field("connection"), "close");
  EXPECT_TRUE(kept.is_closed());
}

TEST(HttpRequests, HaveAnId) {
  RunningServer server(echo_routes());
  Client client(server.port());
  client.get("/", "X-Request-Id: mine-1.2_3\r\n");
  EXPECT_EQ(client.answer().field("x-request-id"), "mine-1.2_3");
  client.get("/", "X-Request-Id: not mine\r\n");
  const std::string fresh = client.answer().field("x-request-id");
  EXPECT_EQ(fresh.size(), 16u);
  client.get("/", "X-Request-Id: " + std::string(65, 'x') + "\r\n");
  const std::string other = client.answer().field("x-request-id");
  EXPECT_EQ(other.size(), 16u);
  EXPECT_NE(other, fresh);
}

TEST(HttpRequests, AreLoggedAndCounted) {
  RunningServer server(echo_routes());
  Client client(server.port());
  client.get("/v1/drafts/7?query=secret", "X-Request-Id: one\r\n");
  const Answer answer = client.answer();
  client.get("/nothing");
  client.answer();
  const auto lines = server.lines(2);
  EXPECT_EQ(lines[0].id, "one");
  EXPECT_EQ(lines[0].method, "GET");
  EXPECT_EQ(lines[0].path, "/v1/drafts/7");
  EXPECT_EQ(lines[0].status, 200);
  EXPECT_EQ(lines[0].client, "127.0.0.1");
  EXPECT_GT(lines[0].bytes, answer.body.size());
  EXPECT_EQ(lines[0].note, "");
  EXPECT_EQ(lines[1].status, 404);
  const TransportCounts counts = server->metrics();
  EXPECT_EQ(counts.connections_open, 1);
  EXPECT_EQ(counts.connections_taken, 1u);
  EXPECT_EQ(counts.requests_running, 0);
  ASSERT_EQ(counts.routes.size(), 2u);
  EXPECT_EQ(counts.routes[0].route, "/v1/drafts/{id}");
  EXPECT_EQ(counts.routes[1].route, "other");
}

}  // namespace
}  // namespace bobby::http
