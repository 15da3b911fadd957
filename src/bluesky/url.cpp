#include <curl/curl.h>
#include <memory>

#include "bluesky/http_get.h"

namespace bobby::bluesky {
namespace {

struct FreeUrl {
  void operator()(CURLU* url) const { curl_url_cleanup(url); }
};
struct FreeText {
  void operator()(char* text) const { curl_free(text); }
};

std::string part(CURLU* url, CURLUPart which) {
  char* text = nullptr;
  if (curl_url_get(url, which, &text, 0) != CURLUE_OK) return {};
  const std::unique_ptr<char, FreeText> owner(text);
  return text;
}

bool is_loopback(const std::string& host) {
  return host == "localhost" || host == "127.0.0.1" || host == "[::1]";
}

tl::unexpected<Error> refuse(const std::string& text) {
  return fail({.code = ErrorCode::kUsage,
               .problem = "is not the address of a server",
               .expected = "https://HOST, or http://localhost:PORT",
               .found = text.substr(0, 200)});
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
  const std::unique_ptr<CURLU, FreeUrl> parsed(curl_url());
  return parsed && curl_url_set(parsed.get(), CURLUPART_URL, url.c_str(), 0) == CURLUE_OK &&
         is_loopback(part(parsed.get(), CURLUPART_HOST));
}

Result<std::string> server_url(const std::string& text) {
  const std::unique_ptr<CURLU, FreeUrl> url(curl_url());
  if (!url || curl_url_set(url.get(), CURLUPART_URL, text.c_str(), 0) != CURLUE_OK)
    return refuse(text);
  const std::string scheme = part(url.get(), CURLUPART_SCHEME);
  const std::string host = part(url.get(), CURLUPART_HOST);
  for (const CURLUPart unwanted :
       {CURLUPART_USER, CURLUPART_PASSWORD, CURLUPART_OPTIONS, CURLUPART_QUERY, CURLUPART_FRAGMENT})
    if (!part(url.get(), unwanted).empty()) return refuse(text);
  if (host.empty() || (scheme != "https" && !(scheme == "http" && is_loopback(host))))
    return refuse(text);
  std::string address = scheme + "://" + host;
  if (const std::string port = part(url.get(), CURLUPART_PORT); !port.empty())
    address += ":" + port;
  address += part(url.get(), CURLUPART_PATH);
  while (address.ends_with('/')) address.pop_back();
  return address;
}

}  // namespace bobby::bluesky
