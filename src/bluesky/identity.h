#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "http/answer.h"

namespace bobby::bluesky {

/// The texts of a domain name's TXT records; none when it has none, or cannot be looked up.
using TxtLookup = std::function<std::vector<std::string>(const std::string& name)>;

/// Asks the machine's own resolver.
std::vector<std::string> look_up_txt(const std::string& name);

/// Whom to ask.
struct IdentitySettings {
  std::string plc_directory = "https://plc.directory";  ///< of did:plc identifiers
  /// The account's server, where the person says so; empty: the identity's document says it.
  std::string service = {};
};

/// An account and the server that has its repository.
struct Account {
  std::string did;
  std::string handle;   ///< as it was asked for; empty when it was asked for by its DID
  std::string service;  ///< https://HOST, without a slash at its end
};

/// "did:plc:..." or "did:web:HOST"; other kinds are not used by AT Protocol.
bool is_did(std::string_view text);
/// A domain name of two labels or more; a "@" before it is not part of it.
bool is_handle(std::string_view text);

/// Finds the account of a handle ("alice.example", with or without "@") or a DID. A handle is
/// looked up as AT Protocol says: _atproto's TXT record, then
/// https://HANDLE/.well-known/atproto-did; the account's document must name the handle in turn, or
/// somebody else could claim it. With a `service`, that is asked instead and believed. kUsage for
/// what is neither; kNotFound, kMismatch, kMalformed, and net::Get's own errors.
Result<Account> find_account(const net::Get& get, const TxtLookup& txt, std::string_view who,
                             const IdentitySettings& settings);

}  // namespace bobby::bluesky
