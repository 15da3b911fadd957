// Who may ask: keys, origins, host names.

#include <nlohmann/json.hpp>

#include "unit/server/http_fixture.h"

namespace bobby::http {
namespace {

boost::asio::awaitable<void> name_client(Exchange& exchange) {
  Response response;
  response.body = exchange.request().client;
  co_await exchange.respond(std::move(response));
}

std::vector<Route> routes() {
  return {{.method = "GET", .path = "/health", .handler = name_client, .open = true},
          {.method = "GET", .path = "/v1/models", .handler = name_client},
          {.method = "POST", .path = "/v1/posts", .handler = echo}};
}

ServerOptions with_keys() {
  ServerOptions options;
  options.api_keys = {"first-key", "second-key"};
  return options;
}

TEST(HttpKeysOnTheWire, AreAskedFor) {
  RunningServer server(routes(), with_keys());
  Client client(server.port());
  client.get("/v1/models");
  const Answer refused = client.answer();
  EXPECT_EQ(refused.status, 401);
  EXPECT_EQ(refused.field("www-authenticate"), "Bearer realm=\"bobby\"");
  const auto error = nlohmann::json::parse(refused.body)["error"];
  EXPECT_EQ(error["type"], "authentication_error");
  EXPECT_EQ(error["code"], "invalid_api_key");
  client.get("/health");
  EXPECT_EQ(client.answer().status, 200) << "open, and the connection is kept";
}

TEST(HttpKeysOnTheWire, AreTakenInBothFields) {
  RunningServer server(routes(), with_keys());
  Client client(server.port());
  client.get("/v1/models", "Authorization: Bearer first-key\r\n");
  const Answer first = client.answer();
  EXPECT_EQ(first.status, 200);
  EXPECT_TRUE(first.body.starts_with("key-"));
  client.get("/v1/models", "authorization: bearer   first-key\r\n");
  EXPECT_EQ(client.answer().body, first.body);
  client.get("/v1/models", "X-Api-Key: second-key\r\n");
  const Answer second = client.answer();
  EXPECT_EQ(second.status, 200);
  EXPECT_NE(second.body, first.body);
  client.get("/health", "X-Api-Key: second-key\r\n");
  EXPECT_EQ(client.answer().body, second.body) << "the same client where no key is needed";
  EXPECT_EQ(server.lines(4)[0].client, first.body);
}

TEST(HttpKeysOnTheWire, ThatAreWrongAreRefused) {
  RunningServer server(routes(), with_keys());
  Client client(server.port());
  for (const char* fields :
       {"Authorization: Bearer third-key\r\n", "Authorization: Bearer\r\n",
        "Authorization: Bearer first-key extra\r\n", "Authorization: Basic first-key\r\n",
        "Authorization: first-key\r\n", "X-Api-Key: \r\n", "X-Api-Key: first-ke\r\n",
        "Authorization: Bearer wrong\r\nX-Api-Key: first-key\r\n"}) {
    client.get("/v1/models", fields);
    EXPECT_EQ(client.answer().status, 401) << fields;
  }
  client.get("/v1/models", "X-Api-Key: wrong\r\nX-Api-Key: first-key\r\n");
  EXPECT_EQ(client.answer().status, 400) << "one key, not a choice";
  for (const LogLine& line : server.lines(9))
    EXPECT_EQ(line.client, "127.0.0.1") << "a wrong key is nobody's";
}

TEST(HttpOriginOnTheWire, ForeignPagesAreRefused) {
  RunningServer server(routes());
  Client client(server.port());
  client.get("/v1/models", "Origin: http://localhost\r\n");
  EXPECT_EQ(client.answer().status, 200) << "Host is localhost as well";
  for (const char* origin : {"https://evil.example", "null", "http://localhost:1234"}) {
    client.get("/v1/models", std::string("Origin: ") + origin + "\r\n");
    const Answer answer = client.answer();
    EXPECT_EQ(answer.status, 403) << origin;
    EXPECT_FALSE(answer.fields.contains("access-control-allow-origin"));
  }
  client.send(
      "OPTIONS /v1/posts HTTP/1.1\r\nHost: localhost\r\nOrigin: https://evil.example\r\n"
      "Access-Control-Request-Method: POST\r\n\r\n");
  EXPECT_EQ(client.answer().status, 403);
}

TEST(HttpOriginOnTheWire, AllowedPagesAreAnsweredAndMayAskBefore) {
  ServerOptions options = with_keys();
  options.allowed_origins = {"https://posts.example"};
  RunningServer server(routes(), options);
  Client client(server.port());
  client.send(
      "OPTIONS /v1/posts HTTP/1.1\r\nHost: localhost\r\nOrigin: https://posts.example\r\n"
      "Access-Control-Request-Method: POST\r\n\r\n");
  const Answer preflight = client.answer();
  EXPECT_EQ(preflight.status, 204) << "without a key: browsers send none here";
  EXPECT_EQ(preflight.field("access-control-allow-origin"), "https://posts.example");
  EXPECT_EQ(preflight.field("access-control-allow-methods"), "POST");
  EXPECT_NE(preflight.field("access-control-allow-headers").find("Authorization"),
            std::string::npos);
  client.get("/v1/models", "Origin: https://posts.example\r\nX-Api-Key: first-key\r\n");
  const Answer answer = client.answer();
  EXPECT_EQ(answer.status, 200);
  EXPECT_EQ(answer.field("access-control-allow-origin"), "https://posts.example");
  EXPECT_EQ(answer.field("vary"), "Origin");
  client.get("/v1/models", "Origin: https://posts.example\r\n");
  const Answer refused = client.answer();
  EXPECT_EQ(refused.status, 401);
  EXPECT_EQ(refused.field("access-control-allow-origin"), "https://posts.example")
      << "so that the page can read why";
  client.send("OPTIONS /v1/posts HTTP/1.1\r\nHost: localhost\r\n\r\n");
  EXPECT_EQ(client.answer().status, 405) << "no preflight";
}

TEST(HttpHostOnTheWire, OfALoopbackServerIsALoopbackName) {
  RunningServer server(routes());
  Client client(server.port());
  for (const char* host : {"localhost", "127.0.0.1:8080", "[::1]"}) {
    client.send(std::string("GET /health HTTP/1.1\r\nHost: ") + host + "\r\n\r\n");
    EXPECT_EQ(client.answer().status, 200) << host;
  }
  for (const char* host : {"evil.example", "localhost.evil.example", "192.168.0.1"}) {
    client.send(std::string("GET /health HTTP/1.1\r\nHost: ") + host + "\r\n\r\n");
    EXPECT_EQ(client.answer().status, 403) << host;
  }
}

TEST(HttpHostOnTheWire, OfAnOpenServerIsAny) {
  ServerOptions options = with_keys();
  options.host = "0.0.0.0";
  RunningServer server(routes(), options);
  Client client(server.port());
  client.send("GET /health HTTP/1.1\r\nHost: bobby.example\r\n\r\n");
  EXPECT_EQ(client.answer().status, 200);
}

}  // namespace
}  // namespace bobby::http
