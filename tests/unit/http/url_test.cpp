// Which addresses are taken, where a redirect may lead, and what a Content-Range says.

#include "http/url.h"

#include <gtest/gtest.h>

#include "http/content_range.h"

namespace bobby::net {
namespace {

TEST(ServerUrl, IsOneOfAServer) {
  EXPECT_EQ(server_url("https://pds.example").value(), "https://pds.example");
  EXPECT_EQ(server_url("https://pds.example:8443/").value(), "https://pds.example:8443");
  EXPECT_EQ(server_url("http://localhost:2583").value(), "http://localhost:2583");
  EXPECT_EQ(server_url("http://[::1]:2583/").value(), "http://[::1]:2583");
  for (const char* bad :
       {"", "pds.example", "http://pds.example", "ftp://pds.example", "https://", "https://a@b.c",
        "https://b.c/?q", "https://b.c/#f", "file:///etc", "http://127.0.0.1.example"})
    EXPECT_FALSE(server_url(bad)) << bad;
}

TEST(EscapeQuery, LeavesNothingThatSeparates) {
  EXPECT_EQ(escape_query("did:web:a&b=c d/ü"), "did%3Aweb%3Aa%26b%3Dc%20d%2F%C3%BC");
}

TEST(SameOrigin, IsSchemeHostAndPort) {
  EXPECT_TRUE(same_origin("https://a.example/x", "https://A.example:443/y?z"));
  EXPECT_FALSE(same_origin("https://a.example/", "https://b.example/"));
  EXPECT_FALSE(same_origin("https://a.example/", "https://a.example:8443/"));
  EXPECT_FALSE(same_origin("https://a.example/", "http://a.example/"));
  EXPECT_FALSE(same_origin("https://a.example/", "https://a.example.evil/"));
  EXPECT_FALSE(same_origin("x", "x"));
}

TEST(RedirectTarget, StaysOnHttpsOrOnThisMachine) {
  EXPECT_EQ(redirect_target("https://a.example/x/y?q", "/z").value(), "https://a.example/z");
  EXPECT_EQ(redirect_target("https://a.example/x", "https://b.example/?s=1").value(),
            "https://b.example/?s=1");
  EXPECT_EQ(redirect_target("http://127.0.0.1:1/x", "http://localhost:2/y").value(),
            "http://localhost:2/y");
  EXPECT_EQ(redirect_target("https://a.example/", "http://a.example/").error().code,
            ErrorCode::kUnsupported);
  EXPECT_FALSE(redirect_target("https://a.example/", "http://127.0.0.1/"));
  EXPECT_FALSE(redirect_target("http://127.0.0.1/", "http://a.example/"));
  EXPECT_FALSE(redirect_target("https://a.example/", "file:///etc/passwd"));
  EXPECT_EQ(redirect_target("https://a.example/", "").error().code, ErrorCode::kMalformed);
}

TEST(ShownUrl, KeepsSecretsAndControlCharactersToItself) {
  EXPECT_EQ(shown_url("https://a.example/x?Signature=secret"), "https://a.example/x");
  EXPECT_EQ(shown_url("a\x1b[31m\nb"), "a [31m b");
  EXPECT_EQ(shown_url(std::string(1000, 'a')).size(), 200u);
}

TEST(ContentRange, IsReadWhole) {
  const auto range = parse_content_range("bytes 5-9/10").value();
  EXPECT_EQ(range.first, 5u);
  EXPECT_EQ(range.last, 9u);
  EXPECT_EQ(range.total, 10u);
  EXPECT_FALSE(parse_content_range("bytes 0-0/*").value().total);
  for (const char* bad :
       {"", "bytes", "bytes 5-9", "bytes 9-5/10", "bytes 5-10/10", "bytes -5/10", "bytes 5-/10",
        "bytes */10", "bits 5-9/10", "bytes 5-9/10 ", "bytes 5-9/-1", "bytes 5-9/x",
        "bytes 18446744073709551615-18446744073709551615/*", "bytes 99999999999999999999-1/2"})
    EXPECT_FALSE(parse_content_range(bad)) << bad;
}

}  // namespace
}  // namespace bobby::net
