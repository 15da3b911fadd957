// Files in parts, from a server that answers what a test wants.

#include "http/ranged_fetch.h"

#include <gtest/gtest.h>
#include <memory>

#include "unit/http/scripted_server.h"

namespace bobby::net {
namespace {

using namespace std::chrono_literals;

std::string part(const std::string& body, const std::string& range, const std::string& etag = "a") {
  return answer(206, body, "Content-Range: bytes " + range + "\r\nETag: \"" + etag + "\"\r\n");
}

class RangedFetch : public testing::Test {
 protected:
  RangedFetch() {
    settings_.plain_http_to_loopback = true;
    settings_.patience.first_wait = 1ms;
    settings_.stall_timeout = 5s;
    settings_.connections = 1;
  }

  Result<FetchEnd> fetch(std::vector<std::string> script) {
    server_ = std::make_unique<ScriptedServer>(std::move(script));
    request_.url = server_->url() + "/file";
    return fetch_ranged(
        request_, settings_,
        [&](std::span<const std::byte> bytes) -> Result<void> {
          got_.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
          return {};
        },
        [&](std::uint64_t bytes) { received_ = bytes; });
  }

  bool asked(std::size_t number, const std::string& line) {
    return server_->requests().at(number).find(line + "\r\n") != std::string::npos;
  }

  FetchSettings settings_;
  FetchRequest request_;
  std::unique_ptr<ScriptedServer> server_;
  std::string got_;
  std::uint64_t received_ = 0;
};

TEST_F(RangedFetch, ASmallFileIsOneQuestion) {
  request_.size = 4;
  EXPECT_EQ(fetch({answer(200, "body")}).value(), FetchEnd::kDone);
  EXPECT_EQ(got_, "body");
  EXPECT_EQ(received_, 4u);
  EXPECT_EQ(server_->requests().at(0).find("Range:"), std::string::npos);
}

TEST_F(RangedFetch, PartsComeInOrder) {
  settings_.part_bytes = 3;
  request_.size = 8;
  EXPECT_EQ(fetch({part("abc", "0-2/8"), part("def", "3-5/8"), part("gh", "6-7/8")}).value(),
            FetchEnd::kDone);
  EXPECT_EQ(got_, "abcdefgh");
  EXPECT_TRUE(asked(0, "Range: bytes=0-2"));
  EXPECT_TRUE(asked(2, "Range: bytes=6-7"));
  EXPECT_TRUE(asked(1, "If-Range: \"a\""));
}

TEST_F(RangedFetch, WhatIsCutGoesOn) {
  request_.size = 8;
  EXPECT_EQ(fetch({"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nabc", answer(503, "no"),
                   part("defgh", "3-7/8")})
                .value(),
            FetchEnd::kDone);
  EXPECT_EQ(got_, "abcdefgh");
  EXPECT_TRUE(asked(2, "Range: bytes=3-7"));
}

TEST_F(RangedFetch, WithoutALengthItIsOneStream) {
  EXPECT_EQ(fetch({"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nall of it"}).value(),
            FetchEnd::kDone);
  EXPECT_EQ(got_, "all of it");
}

TEST_F(RangedFetch, AServerWithoutPartsIsToldApart) {
  request_.size = 8;
  request_.from = 3;
  EXPECT_EQ(fetch({answer(200, "abcdefgh")}).value(), FetchEnd::kStartOver);
  EXPECT_EQ(fetch({answer(416, "")}).value(), FetchEnd::kStartOver);
  EXPECT_EQ(got_, "");
}

TEST_F(RangedFetch, AnotherFileIsToldApart) {
  request_.size = 8;
  EXPECT_EQ(fetch({answer(200, "short")}).value(), FetchEnd::kChanged);
  EXPECT_EQ(fetch({answer(200, "much too long")}).value(), FetchEnd::kChanged);
  settings_.part_bytes = 4;
  EXPECT_EQ(fetch({part("abcd", "0-3/9")}).value(), FetchEnd::kChanged);
  EXPECT_EQ(fetch({part("abcd", "0-3/8"), part("efgh", "4-7/8", "b")}).value(), FetchEnd::kChanged);
  EXPECT_EQ(fetch({part("abcd", "1-4/8")}).error().code, ErrorCode::kMalformed);
  EXPECT_EQ(fetch({answer(206, "abcd")}).error().code, ErrorCode::kMalformed);
}

TEST_F(RangedFetch, APrivateHeaderStaysWithItsServer) {
  ScriptedServer elsewhere({answer(200, "body")});
  request_.size = 4;
  request_.private_headers = {"Authorization: Bearer secret"};
  ASSERT_EQ(fetch({answer(302, "", "Location: " + elsewhere.url() + "/x\r\n")}).value(),
            FetchEnd::kDone);
  EXPECT_EQ(got_, "body");
  EXPECT_TRUE(asked(0, "Authorization: Bearer secret"));
  EXPECT_EQ(elsewhere.requests().at(0).find("secret"), std::string::npos);
}

TEST_F(RangedFetch, RefusalsEndIt) {
  settings_.patience.tries = 2;
  EXPECT_EQ(fetch({answer(403, "")}).value(), FetchEnd::kExpired);
  EXPECT_EQ(fetch({answer(400, "")}).error().code, ErrorCode::kIo);
  EXPECT_EQ(fetch({answer(503, "")}).error().code, ErrorCode::kIo);
  EXPECT_EQ(server_->connections(), 2);
  EXPECT_EQ(fetch({answer(302, "", "Location: /on\r\n")}).error().code, ErrorCode::kIo);
  EXPECT_EQ(server_->connections(), 6);
  EXPECT_EQ(fetch({answer(429, "", "Retry-After: 7200\r\n")}).error().code, ErrorCode::kBusy);
}

TEST_F(RangedFetch, SilenceIsATimeout) {
  settings_.stall_timeout = 100ms;
  settings_.patience.tries = 2;
  EXPECT_EQ(fetch({""}).error().code, ErrorCode::kTimeout);
  EXPECT_EQ(server_->connections(), 2);
}

}  // namespace
}  // namespace bobby::net
