#pragma once

struct sockaddr;

namespace bobby::net {

/// Whether an address is one of the internet at large: not this machine, nor its own network, nor
/// what is set apart for multicast, documentation and the like.
bool is_public_address(const sockaddr* address);

}  // namespace bobby::net
