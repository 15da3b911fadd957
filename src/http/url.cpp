#include "http/url.h"

#include <algorithm>
#include <arpa/inet.h>
#include <array>
#include <curl/curl.h>
#include <memory>
#include <strings.h>

namespace bobby::net {
namespace {

constexpr std::size_t kShown = 200;

struct FreeUrl {
  void operator()(CURLU* url) const { curl_url_cleanup(url); }
};
struct FreeText {
  void operator()(char* text) const { curl_free(text); }
};
using Url = std::unique_ptr<CURLU, FreeUrl>;

// Null for what is no URL.
Url parse(const std::string& text) {
  Url url(curl_url());
  if (url && curl_url_set(url.get(), CURLUPART_URL, text.c_str(), 0) != CURLUE_OK) url.reset();
  return url;
}

std::string part(const Url& url, CURLUPart which, unsigned int flags = 0) {
  char* text = nullptr;
  if (curl_url_get(url.get(), which, &text, flags) != CURLUE_OK) return {};
  const std::unique_ptr<char, FreeText> owner(text);
  return text;
}

bool is_loopback(const std::string& host) {
  if (host == "localhost" || host == "[::1]") return true;
  in_addr address = {};
  return inet_pton(AF_INET, host.c_str(), &address) == 1 && (ntohl(address.s_addr) >> 24) == 127;
}

tl::unexpected<Error> refuse(const std::string& text) {
  return fail({.code = ErrorCode::kUsage,
               .problem = "is not the address of a server",
               .expected = "https://HOST, or http://localhost:PORT",
               .found = text.substr(0, kShown)});
}

}  // namespace

std::string escape_query(const std::string& text) {
  const std::unique_ptr<char, FreeText> escaped(
      curl_easy_escape(nullptr, text.data(), static_cast<int>(text.size())));
  return escaped ? std::string(escaped.get()) : std::string();
}

bool is_plain_http(const std::string& url) {
  return url.starts_with("http://");
}

bool leads_to_this_machine(const std::string& url) {
  const Url parsed = parse(url);
  return parsed && is_loopback(part(parsed, CURLUPART_HOST));
}

Result<std::string> server_url(const std::string& text) {
  const Url url = parse(text);
  if (!url) return refuse(text);
  const std::string scheme = part(url, CURLUPART_SCHEME);
  const std::string host = part(url, CURLUPART_HOST);
  for (const CURLUPart unwanted :
       {CURLUPART_USER, CURLUPART_PASSWORD, CURLUPART_OPTIONS, CURLUPART_QUERY, CURLUPART_FRAGMENT})
    if (!part(url, unwanted).empty()) return refuse(text);
  if (host.empty() || (scheme != "https" && !(scheme == "http" && is_loopback(host))))
    return refuse(text);
  std::string address = scheme + "://" + host;
  if (const std::string port = part(url, CURLUPART_PORT); !port.empty()) address += ":" + port;
  address += part(url, CURLUPART_PATH);
  while (address.ends_with('/')) address.pop_back();
  return address;
}

bool same_origin(const std::string& a, const std::string& b) {
  const Url first = parse(a);
  const Url second = parse(b);
  if (!first || !second) return false;
  // A host's name is the same in capitals.
  return std::ranges::all_of(
      std::array{CURLUPART_SCHEME, CURLUPART_HOST, CURLUPART_PORT}, [&](CURLUPart which) {
        return ::strcasecmp(part(first, which, CURLU_DEFAULT_PORT).c_str(),
                            part(second, which, CURLU_DEFAULT_PORT).c_str()) == 0;
      });
}

Result<std::string> redirect_target(const std::string& from, const std::string& location) {
  const auto refused = [&](ErrorCode code, std::string problem) {
    return fail({.code = code,
                 .where = shown_url(from),
                 .problem = std::move(problem),
                 .found = shown_url(location)});
  };
  const Url url = parse(from);
  if (!url || location.empty() ||
      curl_url_set(url.get(), CURLUPART_URL, location.c_str(), 0) != CURLUE_OK)
    return refused(ErrorCode::kMalformed, "redirects to something that is no URL");
  const std::string scheme = part(url, CURLUPART_SCHEME);
  const bool stays_here = scheme == "http" && is_plain_http(from) && leads_to_this_machine(from) &&
                          is_loopback(part(url, CURLUPART_HOST));
  if (scheme != "https" && !stays_here)
    return refused(ErrorCode::kUnsupported, "redirects to something other than https");
  return part(url, CURLUPART_URL);
}

std::string shown_url(std::string_view url) {
  std::string text(url.substr(0, std::min(url.find('?'), kShown)));
  // It goes to a terminal, and it may be a stranger's.
  std::ranges::replace_if(
      text, [](char c) { return static_cast<unsigned char>(c) < ' ' || c == '\x7f'; }, ' ');
  return text;
}

}  // namespace bobby::net
