#include "bluesky/identity.h"

#include <algorithm>
#include <fmt/format.h>
#include <optional>
#include <utility>

#include "bluesky/json_answer.h"
#include "http/url.h"

namespace bobby::bluesky {
namespace {

using nlohmann::json;

constexpr std::string_view kPlc = "did:plc:";
constexpr std::string_view kWeb = "did:web:";

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}
bool is_lower(char c) {
  return c >= 'a' && c <= 'z';
}

std::string lower(std::string_view text) {
  std::string folded(text);
  for (char& c : folded)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return folded;
}

bool is_label(std::string_view label) {
  constexpr std::size_t kLongestLabel = 63;
  return !label.empty() && label.size() <= kLongestLabel && label.front() != '-' &&
         label.back() != '-' && std::all_of(label.begin(), label.end(), [](char c) {
           return is_digit(c) || is_lower(c) || c == '-';
         });
}

// The labels of a lower-case host name; none when it is not one.
std::vector<std::string_view> labels(std::string_view host) {
  constexpr std::size_t kLongestHost = 253;
  std::vector<std::string_view> parts;
  if (host.size() > kLongestHost) return {};
  for (std::size_t begin = 0; begin <= host.size();) {
    const std::size_t end = std::min(host.find('.', begin), host.size());
    parts.push_back(host.substr(begin, end - begin));
    if (!is_label(parts.back())) return {};
    begin = end + 1;
  }
  return parts;
}

// What follows "did:web:": a host, and a port only for this machine ("localhost%3A2583").
std::optional<std::string> web_origin(std::string_view rest) {
  constexpr std::string_view kLocal = "localhost%3A";
  if (rest.starts_with(kLocal)) {
    const std::string port(rest.substr(kLocal.size()));
    if (port.empty() || port.size() > 5 || !std::all_of(port.begin(), port.end(), is_digit))
      return std::nullopt;
    return "http://localhost:" + port;
  }
  if (labels(rest).size() < 2) return std::nullopt;
  return "https://" + std::string(rest);
}

bool is_plc(std::string_view did) {
  constexpr std::size_t kDigits = 24;
  return did.starts_with(kPlc) && did.size() == kPlc.size() + kDigits &&
         std::all_of(did.begin() + kPlc.size(), did.end(),
                     [](char c) { return is_lower(c) || (c >= '2' && c <= '7'); });
}

std::string_view trimmed(std::string_view text) {
  const std::size_t begin = text.find_first_not_of(" \t\r\n");
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(" \t\r\n") - begin + 1);
}

Result<std::string> did_by_txt(const TxtLookup& txt, const std::string& handle) {
  constexpr std::string_view kStart = "did=";
  std::string did;
  for (const std::string& record : txt("_atproto." + handle)) {
    if (!record.starts_with(kStart) || !is_did(record.substr(kStart.size()))) continue;
    const std::string found = record.substr(kStart.size());
    if (!did.empty() && did != found)
      return fail({.code = ErrorCode::kMismatch,
                   .where = "_atproto." + handle,
                   .problem = "names several accounts",
                   .found = did + " and " + found});
    did = found;
  }
  return did;
}

Result<std::string> did_of_handle(const net::Get& get, const TxtLookup& txt,
                                  const std::string& handle) {
  BOBBY_TRY(std::string by_txt, did_by_txt(txt, handle));
  if (!by_txt.empty()) return by_txt;
  const std::string url = "https://" + handle + "/.well-known/atproto-did";
  auto answer = get(url);
  if (answer && answer->status == 200)
    if (const std::string_view did = trimmed(answer->body); is_did(did)) return std::string(did);
  if (!answer && answer.error().code != ErrorCode::kNotFound &&
      answer.error().code != ErrorCode::kIo)
    return fail(std::move(answer).error());
  return fail(
      {.code = ErrorCode::kNotFound,
       .where = handle,
       .problem = "leads to no account: neither _atproto." + handle + " nor " + url + " names one",
       .hint = "check the spelling, or give its DID"});
}

std::string document_url(const std::string& did, const std::string& plc_directory) {
  if (is_plc(did)) return plc_directory + "/" + did;
  return *web_origin(std::string_view(did).substr(kWeb.size())) + "/.well-known/did.json";
}

bool names_handle(const json& document, const std::string& handle) {
  const auto names = document.find("alsoKnownAs");
  if (names == document.end() || !names->is_array()) return false;
  return std::any_of(names->begin(), names->end(), [&](const json& name) {
    const auto* text = name.get_ptr<const std::string*>();
    return text != nullptr && lower(*text) == "at://" + handle;
  });
}

// The server that an identity's document names; empty when there is none.
std::string named_service(const json& document, const std::string& did) {
  const auto services = document.find("service");
  if (services == document.end() || !services->is_array()) return {};
  for (const json& service : *services) {
    const std::string* id = text_of(service, "id");
    const std::string* type = text_of(service, "type");
    const std::string* endpoint = text_of(service, "serviceEndpoint");
    if (id != nullptr && (*id == "#atproto_pds" || *id == did + "#atproto_pds") &&
        type != nullptr && *type == "AtprotoPersonalDataServer" && endpoint != nullptr)
      return *endpoint;
  }
  return {};
}

Result<Account> account_of_document(const net::Get& get, Account account,
                                    const IdentitySettings& settings) {
  BOBBY_TRY(const std::string directory, net::server_url(settings.plc_directory));
  const std::string url = document_url(account.did, directory);
  BOBBY_TRY(const json document, get_json(get, url));
  const std::string* id = text_of(document, "id");
  if (id == nullptr || *id != account.did)
    return fail({.code = ErrorCode::kMismatch,
                 .where = url,
                 .problem = "is another account's document",
                 .expected = account.did,
                 .found = id == nullptr ? "none" : id->substr(0, 200)});
  if (!account.handle.empty() && !names_handle(document, account.handle))
    return fail(
        {.code = ErrorCode::kMismatch,
         .where = account.handle,
         .problem = fmt::format("leads to {}, which does not go by that handle", account.did),
         .hint = "give the DID if it is the account that you mean"});
  auto service = net::server_url(named_service(document, account.did));
  if (!service)
    return fail({.code = ErrorCode::kMalformed,
                 .where = url,
                 .problem = "names no server that has the account's posts"});
  account.service = *std::move(service);
  return account;
}

Result<Account> account_of_service(const net::Get& get, Account account,
                                   const std::string& service) {
  auto url = net::server_url(service);
  if (!url) return fail(std::move(url).error().in("service"));
  account.service = *std::move(url);
  if (!account.did.empty()) return account;
  const std::string query = account.service + "/xrpc/com.atproto.identity.resolveHandle?handle=" +
                            net::escape_query(account.handle);
  auto answer = get_json(get, query);
  if (!answer) return fail(std::move(answer).error().in(account.handle));
  const std::string* did = text_of(*answer, "did");
  if (did == nullptr || !is_did(*did))
    return fail({.code = ErrorCode::kMalformed,
                 .where = net::shown_url(query),
                 .problem = "names no account"});
  account.did = *did;
  return account;
}

}  // namespace

bool is_did(std::string_view text) {
  return is_plc(text) ||
         (text.starts_with(kWeb) && web_origin(text.substr(kWeb.size())).has_value());
}

bool is_handle(std::string_view text) {
  if (text.starts_with('@')) text.remove_prefix(1);
  const std::string host = lower(text);
  const auto parts = labels(host);
  return parts.size() >= 2 && !is_digit(parts.back().front());
}

Result<Account> find_account(const net::Get& get, const TxtLookup& txt, std::string_view who,
                             const IdentitySettings& settings) {
  if (!is_did(who) && !is_handle(who))
    return fail({.code = ErrorCode::kUsage,
                 .where = std::string(who),
                 .problem = "is neither a handle nor a DID",
                 .expected = "alice.example, did:plc:... or did:web:HOST"});
  Account account;
  if (is_did(who))
    account.did = who;
  else
    account.handle = lower(who.substr(who.starts_with('@') ? 1 : 0));
  if (!settings.service.empty())
    return account_of_service(get, std::move(account), settings.service);
  if (account.did.empty()) {
    BOBBY_TRY(account.did, did_of_handle(get, txt, account.handle));
  }
  return account_of_document(get, std::move(account), settings);
}

}  // namespace bobby::bluesky
