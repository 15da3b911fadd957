// The client against a server that answers what a test wants: patience, bounds, and where it may
// not go.

#include "http/client.h"

#include <gtest/gtest.h>
#include <memory>

#include "unit/http/scripted_server.h"

namespace bobby::net {
namespace {

using namespace std::chrono_literals;

class ClientTest : public testing::Test {
 protected:
  ClientTest() {
    settings_.plain_http_to_loopback = true;
    settings_.patience.first_wait = 1ms;
    settings_.timeout = 5s;
  }

  Result<Answer> get(std::vector<std::string> script, const std::string& path = "/x?a=b") {
    server_ = std::make_unique<ScriptedServer>(std::move(script));
    return Client(settings_).get(server_->url() + path);
  }

  ErrorCode code(std::vector<std::string> script) {
    const auto done = get(std::move(script));
    return done ? ErrorCode::kInternal : done.error().code;
  }

  ClientSettings settings_;
  std::unique_ptr<ScriptedServer> server_;
};

TEST_F(ClientTest, AnyStatusIsAnAnswer) {
  const auto good = get({answer(200, "body")});
  ASSERT_TRUE(good) << good.error().to_string();
  EXPECT_EQ(good->body, "body");
  const auto missing = get({answer(404, "none")});
  ASSERT_TRUE(missing);
  EXPECT_EQ(missing->status, 404);
  EXPECT_EQ(server_->connections(), 1);
}

TEST_F(ClientTest, TriesAgainWhatMayPass) {
  for (const int status : {408, 429, 500, 502, 503, 504}) {
    const auto done = get({answer(status, ""), answer(status, ""), answer(200, "at last")});
    ASSERT_TRUE(done) << status;
    EXPECT_EQ(done->body, "at last");
    EXPECT_EQ(server_->connections(), 3);
  }
  const auto cut = get({"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nhalf", answer(200, "ok")});
  ASSERT_TRUE(cut) << cut.error().to_string();
  EXPECT_EQ(cut->body, "ok");
}

TEST_F(ClientTest, GivesUpAtLast) {
  settings_.patience.tries = 3;
  const auto done = get({answer(503, "still")});
  ASSERT_TRUE(done);
  EXPECT_EQ(done->status, 503);
  EXPECT_EQ(server_->connections(), 3);
  const auto nobody = Client(settings_).get("http://127.0.0.1:1/");
  ASSERT_FALSE(nobody);
  EXPECT_EQ(nobody.error().code, ErrorCode::kIo);
  EXPECT_EQ(nobody.error().where, "http://127.0.0.1:1/");
}

TEST_F(ClientTest, WaitsAsLongAsItIsAskedTo) {
  const auto start = std::chrono::steady_clock::now();
  ASSERT_TRUE(get({answer(429, "", "Retry-After: 1\r\n"), answer(200, "")}));
  EXPECT_GE(std::chrono::steady_clock::now() - start, 1s);
}

TEST_F(ClientTest, DoesNotWaitForEver) {
  const auto done = get({answer(429, "", "Retry-After: 7200\r\n")});
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().code, ErrorCode::kBusy);
  EXPECT_NE(done.error().problem.find("7200"), std::string::npos);
  const auto later = std::chrono::system_clock::now() + 1h;
  const auto reset = std::chrono::duration_cast<std::chrono::seconds>(later.time_since_epoch());
  const std::string header = "ratelimit-reset: " + std::to_string(reset.count()) + "\r\n";
  EXPECT_EQ(code({answer(429, "", header)}), ErrorCode::kBusy);
  EXPECT_EQ(server_->connections(), 1);
}

TEST_F(ClientTest, ASilentServerIsATimeout) {
  settings_.timeout = 100ms;
  settings_.patience.tries = 2;
  EXPECT_EQ(code({""}), ErrorCode::kTimeout);
  EXPECT_EQ(server_->connections(), 2);
}

TEST_F(ClientTest, AnAnswerHasABound) {
  settings_.most_bytes = 1000;
  EXPECT_TRUE(get({answer(200, std::string(1000, 'x'))}));
  EXPECT_EQ(code({answer(200, std::string(1001, 'x'))}), ErrorCode::kLimit);
  EXPECT_EQ(server_->connections(), 1);
  EXPECT_EQ(code({"HTTP/1.1 200 OK\r\n\r\n" + std::string(100'000, 'x')}), ErrorCode::kLimit);
}

TEST_F(ClientTest, PlainHttpLeadsNowhereElse) {
  const auto redirected = get({answer(302, "", "Location: http://127.0.0.1:1/\r\n")});
  ASSERT_TRUE(redirected);
  EXPECT_EQ(redirected->status, 302);
  for (const char* url : {"http://192.0.2.1/", "http://example.com/", "file:///etc/passwd",
                          "ftp://127.0.0.1/", "gopher://127.0.0.1/"})
    EXPECT_FALSE(Client(settings_).get(url)) << url;
  settings_.plain_http_to_loopback = false;
  EXPECT_EQ(code({answer(200, "")}), ErrorCode::kUsage);
  EXPECT_EQ(server_->connections(), 0);
}

TEST_F(ClientTest, WhoWatchesMayStopIt) {
  struct Stop {};
  settings_.watch = [] { throw Stop(); };
  EXPECT_THROW(static_cast<void>(get({""})), Stop);
  int calls = 0;
  settings_.watch = [&] {
    if (++calls > 20) throw Stop();
  };
  EXPECT_THROW(static_cast<void>(get({answer(503, "", "Retry-After: 60\r\n")})), Stop)
      << "while it waits, too";
}

TEST_F(ClientTest, SendsOnceWhatIsSentOnce) {
  const auto sent = [&](std::vector<std::string> script) {
    server_ = std::make_unique<ScriptedServer>(std::move(script));
    return Client(settings_).ask_once({.url = server_->url() + "/x", .body = "{}"});
  };
  const Exchange good = sent({answer(200, "done", "X-Name: value\r\n")});
  ASSERT_TRUE(good.answer) << good.answer.error().to_string();
  EXPECT_EQ(good.answer->body, "done");
  EXPECT_EQ(*good.answer->header("x-name"), "value");
  const Exchange busy = sent({answer(503, ""), answer(200, "")});
  ASSERT_TRUE(busy.answer);
  EXPECT_EQ(busy.answer->status, 503);
  EXPECT_EQ(server_->connections(), 1);
  const Exchange moved = sent({answer(302, "", "Location: /y\r\n"), answer(200, "")});
  ASSERT_TRUE(moved.answer);
  EXPECT_EQ(moved.answer->status, 302);
}

TEST_F(ClientTest, KnowsWhetherARequestMayHaveArrived) {
  settings_.timeout = 300ms;
  for (const std::string& text :
       {std::string(), std::string("HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nhalf")}) {
    server_ = std::make_unique<ScriptedServer>(std::vector<std::string>{text});
    const Exchange lost = Client(settings_).ask_once({.url = server_->url(), .body = "{}"});
    EXPECT_FALSE(lost.answer);
    EXPECT_TRUE(lost.may_have_arrived) << text;
    EXPECT_EQ(server_->connections(), 1);
  }
  for (const char* url : {"http://127.0.0.1:1/", "http://192.0.2.1/", "ftp://127.0.0.1/"}) {
    const Exchange none = Client(settings_).ask_once({.url = url, .body = "{}"});
    EXPECT_FALSE(none.answer);
    EXPECT_FALSE(none.may_have_arrived) << url;
  }
}

TEST_F(ClientTest, APostGoesOverAConnectionOfItsOwn) {
  ScriptedServer server({answer(200, "one"), answer(200, "two")});
  Client client(settings_);
  ASSERT_TRUE(client.ask_once({.url = server.url(), .body = "{}"}).answer);
  const Exchange second = client.ask_once({.url = server.url(), .body = "{}"});
  ASSERT_TRUE(second.answer);
  EXPECT_EQ(second.answer->body, "two");
  EXPECT_EQ(server.connections(), 2);
}

}  // namespace
}  // namespace bobby::net
