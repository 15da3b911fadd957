// Servers that begin, are full, and end.

#include <filesystem>
#include <fstream>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "unit/app/temporary_folder.h"
#include "unit/server/http_fixture.h"

namespace bobby::http {
namespace {

using boost::asio::awaitable;

std::vector<Route> echo_route() {
  return {{.method = "GET", .path = "/", .handler = echo}};
}

Error listen_error(ServerOptions options) {
  const auto server = Server::listen(std::move(options), echo_route(), nullptr);
  if (!server) return server.error();
  ADD_FAILURE() << "listens at " << (*server)->address();
  return {};
}

TEST(HttpListen, AnAddressInUseIsNamed) {
  RunningServer server(echo_route());
  EXPECT_EQ(server->address(), "http://127.0.0.1:" + std::to_string(server.port()));
  ServerOptions options;
  options.port = server.port();
  const std::string sentence = listen_error(options).to_string();
  EXPECT_NE(sentence.find("127.0.0.1:" + std::to_string(server.port())), std::string::npos);
  EXPECT_NE(sentence.find("--port"), std::string::npos);
}

TEST(HttpListen, OtherMachinesNeedKeys) {
  ServerOptions options;
  options.host = "0.0.0.0";
  const Error error = listen_error(options);
  EXPECT_EQ(error.code, ErrorCode::kUsage);
  EXPECT_NE(error.to_string().find("--api-key-file"), std::string::npos);
  options.host = "no.such.host.invalid";
  EXPECT_EQ(listen_error(options).code, ErrorCode::kUsage);
  options.host = "localhost";
  EXPECT_TRUE(Server::listen(options, echo_route(), nullptr));
}

TEST(HttpListen, OriginsAndRoutesAreChecked) {
  ServerOptions options;
  options.allowed_origins = {"posts.example"};
  EXPECT_EQ(listen_error(options).code, ErrorCode::kUsage);
  std::vector<Route> twice = echo_route();
  twice.push_back(twice.front());
  EXPECT_FALSE(Server::listen({}, twice, nullptr));
}

TEST(HttpSocketFile, IsItsOwnersAloneAndGoesWithTheServer) {
  const TemporaryFolder folder;
  ServerOptions options;
  options.unix_socket = folder.path() / "bobby.sock";
  {
    RunningServer server(echo_route(), options);
    struct stat status {};
    ASSERT_EQ(::stat(options.unix_socket.c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 0777u, 0600u);
    Client client(options.unix_socket);
    client.send("GET / HTTP/1.1\r\nHost: whatever\r\n\r\n");
    EXPECT_EQ(client.answer().body, "GET /");
    EXPECT_EQ(server.lines(1)[0].client, "unix");
    EXPECT_NE(listen_error(options).to_string().find("another server"), std::string::npos);
    EXPECT_TRUE(std::filesystem::exists(options.unix_socket)) << "the refused one left it alone";
  }
  EXPECT_FALSE(std::filesystem::exists(options.unix_socket));
}

TEST(HttpSocketFile, OfADeadServerIsReplacedAndOthersAreNot) {
  const TemporaryFolder folder;
  ServerOptions options;
  options.unix_socket = folder.path() / "bobby.sock";
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  options.unix_socket.string().copy(address.sun_path, sizeof address.sun_path - 1);
  const int dead = ::socket(AF_UNIX, SOCK_STREAM, 0);
  ASSERT_EQ(::bind(dead, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  ::close(dead);
  {
    RunningServer server(echo_route(), options);
    Client client(options.unix_socket);
    client.get("/");
    EXPECT_EQ(client.answer().status, 200);
  }
  folder.write("bobby.sock", "notes");
  EXPECT_EQ(listen_error(options).code, ErrorCode::kUsage);
  EXPECT_TRUE(std::filesystem::exists(options.unix_socket));
  options.unix_socket = folder.path() / std::string(200, 'x');
  EXPECT_EQ(listen_error(options).code, ErrorCode::kLimit);
}

TEST(HttpConnections, TwoHundredAtOnce) {
  const Handler waits = [](Exchange& exchange) -> awaitable<void> {
    co_await pause(20ms);
    co_await echo(exchange);
  };
  RunningServer server({{.method = "GET", .path = "/{id}", .handler = waits}});
  std::vector<std::unique_ptr<Client>> clients;
  for (int i = 0; i < 200; ++i) clients.push_back(std::make_unique<Client>(server.port()));
  for (int round = 0; round < 3; ++round) {
    for (int i = 0; i < 200; ++i) clients[i]->get("/" + std::to_string(i));
    for (int i = 0; i < 200; ++i) {
      const std::string id = std::to_string(i);
      ASSERT_EQ(clients[i]->answer().body, "GET /" + id + " id=" + id);
    }
  }
  EXPECT_EQ(server->metrics().connections_open, 200);
  clients.clear();
  EXPECT_TRUE(soon([&] { return server->metrics().connections_open == 0; }));
}

TEST(HttpConnections, BeyondTheLimitAreTurnedAway) {
  ServerOptions options;
  options.limits.max_connections = 2;
  RunningServer server(echo_route(), options);
  Client first(server.port());
  auto second = std::make_unique<Client>(server.port());
  for (Client* client : {&first, second.get()}) {
    client->get("/");
    EXPECT_EQ(client->answer().status, 200);
  }
  Client third(server.port());
  const Answer answer = third.answer();  // at once: it has asked nothing
  EXPECT_EQ(answer.status, 503);
  EXPECT_EQ(answer.field("retry-after"), "1");
  EXPECT_TRUE(third.is_closed());
  third.close();
  second.reset();
  ASSERT_TRUE(soon([&] { return server->metrics().connections_open == 1; }));
  Client fourth(server.port());
  fourth.get("/");
  EXPECT_EQ(fourth.answer().status, 200) << "there is room again";
  EXPECT_EQ(server->metrics().connections_refused, 1u);
}

TEST(HttpDrain, LetsWhatRunsFinish) {
  std::atomic<int> started = 0;
  const Handler works = [&started](Exchange& exchange) -> awaitable<void> {
    ++started;
    co_await pause(150ms);
    co_await echo(exchange);
  };
  RunningServer server({{.method = "GET", .path = "/work", .handler = works},
                        {.method = "GET", .path = "/", .handler = echo}});
  Client idle(server.port());
  idle.get("/");
  EXPECT_EQ(idle.answer().status, 200);
  std::vector<std::unique_ptr<Client>> clients;
  for (int i = 0; i < 50; ++i) {
    clients.push_back(std::make_unique<Client>(server.port()));
    clients.back()->get("/work");
  }
  ASSERT_TRUE(soon([&] { return started == 50; }));
  std::atomic<bool> in_time = false;
  std::thread drainer([&] { in_time = server->drain(5s); });
  EXPECT_TRUE(idle.is_closed());
  for (auto& client : clients) {
    const Answer answer = client->answer();
    EXPECT_EQ(answer.body, "GET /work");
    EXPECT_EQ(answer.field("connection"), "close");
    client->close();
  }
  drainer.join();
  EXPECT_TRUE(in_time);
  Client late(server.port());
  EXPECT_TRUE(!late.is_connected() || !late.get("/") || late.answer().status == 0);
}

TEST(HttpDrain, TellsWhoTakesTooLong) {
  std::atomic<int> started = 0;
  std::atomic<int> told = 0;
  const Handler works = [&](Exchange& exchange) -> awaitable<void> {
    ++started;
    while (!*exchange.request().gone) co_await pause(5ms);
    ++told;
  };
  const Handler never_ends = [&](Exchange&) -> awaitable<void> {
    ++started;
    for (;;) co_await pause(5ms);
  };
  RunningServer server({{.method = "GET", .path = "/work", .handler = works},
                        {.method = "GET", .path = "/forever", .handler = never_ends}});
  Client client(server.port());
  client.get("/work");
  Client stubborn(server.port());
  stubborn.get("/forever");
  ASSERT_TRUE(soon([&] { return started == 2; }));
  std::atomic<bool> in_time = true;
  std::thread drainer([&] { in_time = server->drain(50ms, 300ms); });
  const Answer answer = client.answer();
  EXPECT_EQ(answer.status, 503);
  EXPECT_EQ(told, 1);
  drainer.join();
  EXPECT_FALSE(in_time);
}

TEST(HttpDrain, StopAcceptingKeepsWhoIsThere) {
  RunningServer server(echo_route());
  Client client(server.port());
  client.get("/");
  EXPECT_EQ(client.answer().status, 200);
  server->stop_accepting();
  EXPECT_TRUE(soon([&] { return !Client(server.port()).is_connected(); }));
  client.get("/");
  EXPECT_EQ(client.answer().status, 200);
}

TEST(HttpDrain, AServerThatNeverRanEnds) {
  auto server = Server::listen({}, echo_route(), nullptr);
  ASSERT_TRUE(server);
  Client client((*server)->port());
  EXPECT_TRUE(client.is_connected());
  EXPECT_TRUE((*server)->drain(10ms));
}

}  // namespace
}  // namespace bobby::http
