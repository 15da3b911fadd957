#include "http/public_address.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <sys/socket.h>

#include "http/client.h"
#include "unit/http/scripted_server.h"

namespace bobby::net {
namespace {

bool is_public(const char* text) {
  sockaddr_storage address = {};
  auto* four = reinterpret_cast<sockaddr_in*>(&address);
  auto* six = reinterpret_cast<sockaddr_in6*>(&address);
  if (::inet_pton(AF_INET, text, &four->sin_addr) == 1) {
    four->sin_family = AF_INET;
  } else {
    address = {};
    EXPECT_EQ(::inet_pton(AF_INET6, text, &six->sin6_addr), 1) << text;
    six->sin6_family = AF_INET6;
  }
  return is_public_address(reinterpret_cast<const sockaddr*>(&address));
}

TEST(PublicAddress, KnowsWhatIsNotOfTheInternet) {
  for (const char* text :
       {"0.0.0.0",     "10.1.2.3",         "100.64.0.1",      "100.127.255.255", "127.0.0.1",
        "127.9.9.9",   "169.254.169.254",  "172.16.0.1",      "172.31.255.255",  "192.0.0.1",
        "192.0.2.7",   "192.168.1.1",      "198.18.0.1",      "198.19.255.255",  "198.51.100.1",
        "203.0.113.9", "224.0.0.1",        "240.0.0.1",       "255.255.255.255", "::",
        "::1",         "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::127.0.0.1",     "64:ff9b::7f00:1",
        "fc00::1",     "fd12::1",          "fe80::1",         "fec0::1",         "ff02::1",
        "2001::1",     "2001:db8::1",      "2002:7f00:1::",   "100::1"})
    EXPECT_FALSE(is_public(text)) << text;
  for (const char* text :
       {"1.1.1.1",        "8.8.8.8",         "9.255.255.255",   "11.0.0.0",
        "100.63.255.255", "100.128.0.0",     "126.255.255.255", "128.0.0.1",
        "169.253.0.1",    "172.15.255.255",  "172.32.0.0",      "192.167.0.1",
        "192.169.0.1",    "198.17.255.255",  "198.20.0.0",      "223.255.255.255",
        "::ffff:8.8.8.8", "2606:4700::1111", "2001:4860::8888", "2a00::1"})
    EXPECT_TRUE(is_public(text)) << text;
}

TEST(PublicAddress, AClientGoesNowhereElse) {
  ScriptedServer server({answer(200, "inner")});
  ClientSettings settings;
  settings.patience.tries = 1;
  settings.plain_http_to_loopback = true;
  ASSERT_TRUE(Client(settings).get(server.url()));
  settings.public_addresses_only = true;
  const auto refused = Client(settings).get(server.url());
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kUsage);
  EXPECT_NE(refused.error().problem.find("not public"), std::string::npos);
  EXPECT_EQ(server.connections(), 1);
}

}  // namespace
}  // namespace bobby::net
