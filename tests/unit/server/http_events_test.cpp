// Answers as they are made: events, clients that leave, handlers that fail.

#include <algorithm>
#include <stdexcept>

#include "unit/server/http_fixture.h"

namespace bobby::http {
namespace {

using boost::asio::awaitable;

awaitable<void> three_events(Exchange& exchange) {
  Events* events = co_await exchange.start_events();
  for (const char* text : {"one", "two", "three"}) co_await events->send(text);
}

awaitable<void> silent_events(Exchange& exchange) {
  Events* events = co_await exchange.start_events();
  co_await pause(170ms);
  co_await events->send("done");
}

TEST(HttpEvents, AreChunksOfAStream) {
  RunningServer server({{.method = "GET", .path = "/events", .handler = three_events}});
  Client client(server.port());
  client.get("/events");
  const Answer answer = client.answer();
  EXPECT_EQ(answer.status, 200);
  EXPECT_EQ(answer.field("content-type"), "text/event-stream");
  EXPECT_EQ(answer.field("cache-control"), "no-store");
  EXPECT_EQ(answer.field("x-accel-buffering"), "no");
  EXPECT_EQ(answer.body, "data: one\n\ndata: two\n\ndata: three\n\n");
  client.get("/events");
  EXPECT_EQ(client.answer().body, answer.body) << "the connection is kept";
  client.send("HEAD /events HTTP/1.1\r\nHost: localhost\r\n\r\n");
  EXPECT_EQ(client.answer(true).status, 200);
  client.get("/events");
  EXPECT_EQ(client.answer().body, answer.body) << "HEAD sent no events";
}

TEST(HttpEvents, OfHttp10EndWithTheConnection) {
  RunningServer server({{.method = "GET", .path = "/events", .handler = three_events}});
  Client client(server.port());
  client.send("GET /events HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
  const std::string all = client.read_all();
  EXPECT_EQ(all.find("Transfer-Encoding"), std::string::npos);
  EXPECT_TRUE(all.ends_with("\r\n\r\ndata: one\n\ndata: two\n\ndata: three\n\n"));
}

TEST(HttpEvents, CommentsKeepASilentConnection) {
  ServerOptions options;
  options.comment_interval = 50ms;
  RunningServer server({{.method = "GET", .path = "/events", .handler = silent_events}}, options);
  Client client(server.port());
  client.get("/events");
  const std::string body = client.answer().body;
  EXPECT_TRUE(body.starts_with(": keep-alive\n\n: keep-alive\n\n")) << body;
  EXPECT_TRUE(body.ends_with("data: done\n\n"));
}

// What a handler that works on saw of its client's leaving.
struct Sight {
  std::atomic<bool> started = false;
  std::atomic<bool> gone = false;
  std::atomic<bool> sent_false = false;
};

Handler works_until_gone(Sight& sight, bool with_events) {
  return [&sight, with_events](Exchange& exchange) -> awaitable<void> {
    Events* events = nullptr;
    if (with_events) events = co_await exchange.start_events();
    sight.started = true;
    for (int i = 0; i < 1000 && !*exchange.request().gone; ++i) co_await pause(5ms);
    sight.gone = exchange.request().gone->load();
    if (with_events) sight.sent_false = !co_await events->send("too late");
  };
}

TEST(HttpEvents, AreNotSentToWhoHasLeft) {
  Sight sight;
  RunningServer server(
      {{.method = "GET", .path = "/events", .handler = works_until_gone(sight, true)}});
  Client client(server.port());
  client.get("/events");
  client.read_until("\r\n\r\n");
  ASSERT_TRUE(soon([&] { return sight.started.load(); }));
  client.close();
  EXPECT_TRUE(soon([&] { return sight.sent_false.load(); }, 1000ms));
  EXPECT_TRUE(sight.gone);
  EXPECT_EQ(server.lines(1)[0].note, "the client left");
}

TEST(HttpEvents, WorkIsToldThatItsClientLeft) {
  Sight sight;
  RunningServer server(
      {{.method = "POST", .path = "/work", .handler = works_until_gone(sight, false)}});
  Client client(server.port());
  client.post("/work", "please");
  ASSERT_TRUE(soon([&] { return sight.started.load(); }));
  client.send("GET /next HTTP/1.1\r\n");  // what was pipelined does not hide the end
  client.close();
  EXPECT_TRUE(soon([&] { return sight.gone.load(); }, 1000ms));
  const LogLine line = server.lines(1)[0];
  EXPECT_EQ(line.status, 499);
  EXPECT_EQ(line.note, "the client left");
  EXPECT_TRUE(soon([&] { return server->metrics().connections_open == 0; }));
}

TEST(HttpEvents, AClientThatHasSaidAllItWillIsAnsweredIfItIsDoneInTime) {
  RunningServer server({{.method = "POST", .path = "/echo", .handler = echo}});
  Client client(server.port());
  client.post("/echo", "last words");
  client.half_close();
  EXPECT_EQ(client.answer().body, "POST /echo [last words]");
  EXPECT_TRUE(client.is_closed());
}

TEST(HttpEvents, AReaderThatStandsStillIsLeft) {
  std::atomic<bool> ended = false;
  const Handler floods = [&ended](Exchange& exchange) -> awaitable<void> {
    Events* events = co_await exchange.start_events();
    const std::string text(1 << 16, 'x');
    bool sent = true;
    for (int i = 0; i < 10'000 && sent; ++i) sent = co_await events->send(text);
    ended = !sent;
  };
  ServerOptions options;
  options.limits.write_time = 150ms;
  RunningServer server({{.method = "GET", .path = "/events", .handler = floods}}, options);
  Client client(server.port());
  client.narrow();
  client.get("/events");
  EXPECT_TRUE(soon([&] { return ended.load(); }));
  EXPECT_TRUE(soon([&] { return server->metrics().connections_open == 0; }));
}

TEST(HttpEvents, HalfAHeaderAndGone) {
  RunningServer server({{.method = "POST", .path = "/echo", .handler = echo}});
  for (const char* bytes :
       {"", "PO", "POST /echo HTTP/1.1\r\nHost: localhost\r\n",
        "POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\nab"}) {
    Client client(server.port());
    client.send(bytes);
    std::this_thread::sleep_for(5ms);
  }
  EXPECT_TRUE(soon([&] { return server->metrics().connections_open == 0; }));
}

TEST(HttpHandlers, ThatFailAreAnsweredFor) {
  const Handler fails = [](Exchange& exchange) -> awaitable<void> {
    if (exchange.request().method == "GET") throw std::runtime_error("a secret reason");
    throw 5;
  };
  const Handler is_silent = [](Exchange&) -> awaitable<void> { co_return; };
  const Handler answers_twice = [](Exchange& exchange) -> awaitable<void> {
    co_await echo(exchange);
    co_await echo(exchange);
  };
  RunningServer server({{.method = "GET", .path = "/fails", .handler = fails},
                        {.method = "DELETE", .path = "/fails", .handler = fails},
                        {.method = "GET", .path = "/silent", .handler = is_silent},
                        {.method = "GET", .path = "/twice", .handler = answers_twice}});
  Client client(server.port());
  client.get("/fails");
  const Answer answer = client.answer();
  EXPECT_EQ(answer.status, 500);
  EXPECT_NE(answer.body.find(answer.field("x-request-id")), std::string::npos);
  EXPECT_EQ(answer.body.find("secret"), std::string::npos);
  client.send("DELETE /fails HTTP/1.1\r\nHost: localhost\r\n\r\n");
  EXPECT_EQ(client.answer().status, 500);
  client.get("/silent");
  EXPECT_EQ(client.answer().status, 500);
  client.get("/twice");
  EXPECT_EQ(client.answer().status, 200);
  client.get("/nothing");
  EXPECT_EQ(client.answer().status, 404) << "the connection lives";
  const auto lines = server.lines(5);
  EXPECT_EQ(lines[0].note, "the handler failed: a secret reason");
  EXPECT_EQ(lines[1].note, "the handler failed");
  EXPECT_EQ(lines[2].note, "the handler did not answer");
  EXPECT_NE(lines[3].note.find("answered already"), std::string::npos);
}

TEST(HttpHandlers, ThatFailAmongEventsCutThem) {
  const Handler fails = [](Exchange& exchange) -> awaitable<void> {
    Events* events = co_await exchange.start_events();
    co_await events->send("one");
    throw std::runtime_error("no more");
  };
  RunningServer server({{.method = "GET", .path = "/events", .handler = fails}});
  Client client(server.port());
  client.get("/events");
  const std::string all = client.read_all();
  EXPECT_TRUE(all.ends_with("data: one\n\n\r\n")) << "without the chunk that ends a whole answer";
}

}  // namespace
}  // namespace bobby::http
