#include "http/transfer.h"

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <fmt/format.h>
#include <string_view>

#include "http/url.h"

namespace bobby::net {
namespace {

// Of this process, once, before the first handle.
void initialise() {
  static const CURLcode done = curl_global_init(CURL_GLOBAL_DEFAULT);
  static_cast<void>(done);
}

std::optional<std::int64_t> whole_number(std::string_view text) {
  std::int64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}

// From a number of seconds since 1970 that an hour or so may lie between.
std::optional<std::chrono::seconds> until(std::string_view text) {
  const auto reset = whole_number(text);
  if (!reset) return std::nullopt;
  const auto now = std::chrono::duration_cast<std::chrono::seconds>(
      std::chrono::system_clock::now().time_since_epoch());
  return std::max(std::chrono::seconds(*reset) - now, std::chrono::seconds(0));
}

// "api";r=0;t=55
std::optional<std::chrono::seconds> limit_ends(std::string_view text) {
  const auto at = text.find(";t=");
  if (at == std::string_view::npos) return std::nullopt;
  text.remove_prefix(at + 3);
  const auto seconds = whole_number(text.substr(0, text.find(';')));
  if (!seconds || *seconds < 0) return std::nullopt;
  return std::chrono::seconds(*seconds);
}

const char* header(CURL* handle, const char* name) {
  curl_header* found = nullptr;
  return curl_easy_header(handle, name, 0, CURLH_HEADER, -1, &found) == CURLHE_OK ? found->value
                                                                                  : nullptr;
}

}  // namespace

Easy make_easy() {
  initialise();
  return Easy(curl_easy_init());
}

Multi make_multi() {
  initialise();
  return Multi(curl_multi_init());
}

HeaderList prepare_transfer(CURL* handle, const std::string& url,
                            const std::vector<std::string>& headers) {
  const bool plain = is_plain_http(url);
  curl_easy_setopt(handle, CURLOPT_URL, url.c_str());
  curl_easy_setopt(handle, CURLOPT_PROTOCOLS_STR, plain ? "http" : "https");
  curl_easy_setopt(handle, CURLOPT_FOLLOWLOCATION, 0L);
  if (plain) curl_easy_setopt(handle, CURLOPT_PROXY, "");  // this machine needs none
  curl_easy_setopt(handle, CURLOPT_USERAGENT, "bobby-posts");
  curl_easy_setopt(handle, CURLOPT_NOSIGNAL, 1L);
  // As in other programs: who vouches for servers, where that is not the system's own list.
  if (const char* file = std::getenv("SSL_CERT_FILE"); file != nullptr && *file != '\0')
    curl_easy_setopt(handle, CURLOPT_CAINFO, file);
  HeaderList list;
  for (const std::string& line : headers)
    if (curl_slist* longer = curl_slist_append(list.get(), line.c_str()); longer != nullptr) {
      static_cast<void>(list.release());
      list.reset(longer);
    }
  curl_easy_setopt(handle, CURLOPT_HTTPHEADER, list.get());
  return list;
}

Result<void> check_scheme(const std::string& url, bool plain_http_to_loopback) {
  if (is_plain_http(url) && !(plain_http_to_loopback && leads_to_this_machine(url)))
    return fail({.code = ErrorCode::kUsage, .where = shown_url(url), .problem = "is not https"});
  return {};
}

bool is_temporary(int status) {
  return status == 408 || status == 429 || (status >= 500 && status != 501);
}

std::optional<std::chrono::seconds> asked_wait(CURL* handle, int status) {
  curl_off_t retry_after = 0;
  curl_easy_getinfo(handle, CURLINFO_RETRY_AFTER, &retry_after);
  if (retry_after > 0) return std::chrono::seconds(retry_after);
  if (status != 429) return std::nullopt;
  if (const char* reset = header(handle, "ratelimit-reset")) return until(reset);
  if (const char* limit = header(handle, "ratelimit")) return limit_ends(limit);
  return std::nullopt;
}

TransferFailure transfer_failure(CURLcode code, const std::string& url) {
  TransferFailure failure{
      .error = {.code = ErrorCode::kIo,
                .where = shown_url(url),
                .problem = fmt::format("cannot be reached ({})", curl_easy_strerror(code))}};
  switch (code) {
    case CURLE_COULDNT_RESOLVE_HOST: failure.error.code = ErrorCode::kNotFound; break;
    case CURLE_OPERATION_TIMEDOUT:
      failure.error.code = ErrorCode::kTimeout;
      failure.may_pass = true;
      break;
    case CURLE_COULDNT_CONNECT:
    case CURLE_GOT_NOTHING:
    case CURLE_SEND_ERROR:
    case CURLE_RECV_ERROR:
    case CURLE_PARTIAL_FILE:
    case CURLE_HTTP2:
    case CURLE_HTTP2_STREAM:
    case CURLE_SSL_CONNECT_ERROR: failure.may_pass = true; break;
    case CURLE_TOO_MANY_REDIRECTS:
    case CURLE_UNSUPPORTED_PROTOCOL:
      failure.error.problem = "leads on and on, or to something other than https";
      break;
    default: break;
  }
  return failure;
}

}  // namespace bobby::net
