#include "http/public_address.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <netinet/in.h>
#include <sys/socket.h>

namespace bobby::net {
namespace {

struct Range {
  std::uint32_t first;
  int bits;
};

// IANA's special-purpose registry of IPv4, and multicast.
constexpr std::array kSpecial = {
    Range{0x00000000, 8},   // this network
    Range{0x0a000000, 8},   // private
    Range{0x64400000, 10},  // shared by a provider's customers
    Range{0x7f000000, 8},   // this machine
    Range{0xa9fe0000, 16},  // this link, and clouds' metadata
    Range{0xac100000, 12},  // private
    Range{0xc0000000, 24},  // protocols'
    Range{0xc0000200, 24},  // documentation
    Range{0xc0586300, 24},  // relays that are no more
    Range{0xc0a80000, 16},  // private
    Range{0xc6120000, 15},  // measurements
    Range{0xc6336400, 24},  // documentation
    Range{0xcb007100, 24},  // documentation
    Range{0xe0000000, 3},   // multicast, reserved, broadcast
};

bool is_public(std::uint32_t address) {
  return std::ranges::none_of(kSpecial, [&](const Range& range) {
    return (address ^ range.first) >> (32 - range.bits) == 0;
  });
}

std::uint32_t number_at(const std::array<std::uint8_t, 16>& bytes, std::size_t at) {
  return std::uint32_t{bytes[at]} << 24 | std::uint32_t{bytes[at + 1]} << 16 |
         std::uint32_t{bytes[at + 2]} << 8 | bytes[at + 3];
}

bool is_public(const std::array<std::uint8_t, 16>& bytes) {
  const std::uint32_t first = number_at(bytes, 0);
  // An IPv4 address in IPv6's clothes.
  if (first == 0 && number_at(bytes, 4) == 0 && number_at(bytes, 8) == 0x0000ffff)
    return is_public(number_at(bytes, 12));
  if (first >> 29 != 1) return false;               // of all there is, 2000::/3 alone is given out
  constexpr std::uint32_t kProtocols = 0x20010000;  // /23: tunnels and the like
  constexpr std::uint32_t kDocumentation = 0x20010db8;  // /32
  constexpr std::uint32_t kTunnels = 0x2002;            // /16: IPv4 within
  return (first ^ kProtocols) >> 9 != 0 && first != kDocumentation && first >> 16 != kTunnels;
}

}  // namespace

bool is_public_address(const sockaddr* address) {
  if (address->sa_family == AF_INET) {
    sockaddr_in four = {};
    std::memcpy(&four, address, sizeof four);
    return is_public(ntohl(four.sin_addr.s_addr));
  }
  if (address->sa_family != AF_INET6) return false;
  sockaddr_in6 six = {};
  std::memcpy(&six, address, sizeof six);
  std::array<std::uint8_t, 16> bytes = {};
  std::memcpy(bytes.data(), &six.sin6_addr, bytes.size());
  return is_public(bytes);
}

}  // namespace bobby::net
