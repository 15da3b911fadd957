#include "bluesky/http_client.h"

#include <algorithm>
#include <charconv>
#include <curl/curl.h>
#include <exception>
#include <fmt/format.h>
#include <random>
#include <string_view>
#include <thread>
#include <utility>

namespace bobby::bluesky {
namespace {

constexpr long kMostRedirects = 3;
constexpr std::size_t kShownOfUrl = 200;

// Of this process, once, before the first handle.
void initialise() {
  static const CURLcode done = curl_global_init(CURL_GLOBAL_DEFAULT);
  static_cast<void>(done);
}

bool is_temporary(int status) {
  return status == 408 || status == 429 || (status >= 500 && status != 501);
}

// A number of seconds since 1970 that an hour or so may lie between.
std::optional<std::chrono::seconds> until(std::string_view text) {
  std::int64_t reset = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), reset);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  const auto now = std::chrono::duration_cast<std::chrono::seconds>(
      std::chrono::system_clock::now().time_since_epoch());
  return std::max(std::chrono::seconds(reset) - now, std::chrono::seconds(0));
}

}  // namespace

struct HttpClient::Easy {
  CURL* handle = nullptr;
  Easy() {
    initialise();
    handle = curl_easy_init();
  }
  ~Easy() { curl_easy_cleanup(handle); }
  Easy(const Easy&) = delete;
  Easy& operator=(const Easy&) = delete;
};

// One try: what comes in, and what the callbacks that libcurl calls have met.
struct HttpClient::Transfer {
  explicit Transfer(const HttpSettings& its) : settings(its) {}

  const HttpSettings& settings;
  std::string body;
  bool too_long = false;
  std::exception_ptr stopped;  // what watch() threw: it may not pass through libcurl

  static std::size_t take(const char* bytes, std::size_t, std::size_t count, void* self) {
    auto& transfer = *static_cast<Transfer*>(self);
    if (count > transfer.settings.most_bytes - transfer.body.size()) {
      transfer.too_long = true;
      return 0;
    }
    transfer.body.append(bytes, count);
    return count;
  }

  static int watch(void* self, curl_off_t, curl_off_t, curl_off_t, curl_off_t) {
    auto& transfer = *static_cast<Transfer*>(self);
    try {
      if (transfer.settings.watch) transfer.settings.watch();
    } catch (...) {
      transfer.stopped = std::current_exception();
      return 1;
    }
    return 0;
  }
};

HttpClient::HttpClient(HttpSettings settings)
    : settings_(std::move(settings)), easy_(std::make_unique<Easy>()) {}
HttpClient::~HttpClient() = default;

void HttpClient::prepare(Transfer& transfer, const std::string& url) {
  CURL* const handle = easy_->handle;
  curl_easy_reset(handle);  // connections and addresses stay
  const bool plain = is_plain_http(url);
  curl_easy_setopt(handle, CURLOPT_URL, url.c_str());
  curl_easy_setopt(handle, CURLOPT_PROTOCOLS_STR, plain ? "http" : "https");
  curl_easy_setopt(handle, CURLOPT_REDIR_PROTOCOLS_STR, "https");
  curl_easy_setopt(handle, CURLOPT_FOLLOWLOCATION, plain ? 0L : 1L);
  curl_easy_setopt(handle, CURLOPT_MAXREDIRS, kMostRedirects);
  if (plain) curl_easy_setopt(handle, CURLOPT_PROXY, "");  // this machine needs none
  curl_easy_setopt(handle, CURLOPT_USERAGENT, "bobby-posts");
  curl_easy_setopt(handle, CURLOPT_ACCEPT_ENCODING, "");  // what libcurl can unpack
  curl_easy_setopt(handle, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(handle, CURLOPT_CONNECTTIMEOUT_MS,
                   static_cast<long>(settings_.connect_timeout.count()));
  curl_easy_setopt(handle, CURLOPT_TIMEOUT_MS, static_cast<long>(settings_.timeout.count()));
  curl_easy_setopt(handle, CURLOPT_WRITEFUNCTION, &Transfer::take);
  curl_easy_setopt(handle, CURLOPT_WRITEDATA, &transfer);
  curl_easy_setopt(handle, CURLOPT_NOPROGRESS, 0L);
  curl_easy_setopt(handle, CURLOPT_XFERINFOFUNCTION, &Transfer::watch);
  curl_easy_setopt(handle, CURLOPT_XFERINFODATA, &transfer);
}

Error HttpClient::failure(const Transfer& transfer, const std::string& url, int code,
                          bool& may_pass) const {
  Error error{.code = ErrorCode::kIo,
              .where = url.substr(0, std::min(url.find('?'), kShownOfUrl)),
              .problem = fmt::format("cannot be reached ({})",
                                     curl_easy_strerror(static_cast<CURLcode>(code)))};
  may_pass = false;
  switch (code) {
    case CURLE_WRITE_ERROR:
      if (!transfer.too_long) break;
      error.code = ErrorCode::kLimit;
      error.problem = fmt::format("answers with more than {} bytes", settings_.most_bytes);
      break;
    case CURLE_COULDNT_RESOLVE_HOST: error.code = ErrorCode::kNotFound; break;
    case CURLE_OPERATION_TIMEDOUT:
      error.code = ErrorCode::kTimeout;
      may_pass = true;
      break;
    case CURLE_COULDNT_CONNECT:
    case CURLE_GOT_NOTHING:
    case CURLE_SEND_ERROR:
    case CURLE_RECV_ERROR:
    case CURLE_PARTIAL_FILE:
    case CURLE_HTTP2:
    case CURLE_HTTP2_STREAM:
    case CURLE_SSL_CONNECT_ERROR: may_pass = true; break;
    case CURLE_TOO_MANY_REDIRECTS:
    case CURLE_UNSUPPORTED_PROTOCOL:
      error.problem = "leads on and on, or to something other than https";
      break;
    default: break;
  }
  return error;
}

Result<HttpAnswer> HttpClient::get_once(const std::string& url, bool& may_pass) {
  Transfer transfer(settings_);
  prepare(transfer, url);
  CURL* const handle = easy_->handle;
  const CURLcode code = curl_easy_perform(handle);
  if (transfer.stopped) std::rethrow_exception(transfer.stopped);
  if (code != CURLE_OK) return fail(failure(transfer, url, code, may_pass));
  long status = 0;
  curl_off_t retry_after = 0;
  curl_easy_getinfo(handle, CURLINFO_RESPONSE_CODE, &status);
  curl_easy_getinfo(handle, CURLINFO_RETRY_AFTER, &retry_after);
  HttpAnswer answer{
      .status = static_cast<int>(status), .body = std::move(transfer.body), .wait = {}};
  curl_header* reset = nullptr;
  if (retry_after > 0)
    answer.wait = std::chrono::seconds(retry_after);
  else if (status == 429 &&
           curl_easy_header(handle, "ratelimit-reset", 0, CURLH_HEADER, -1, &reset) == CURLHE_OK)
    answer.wait = until(reset->value);
  may_pass = is_temporary(answer.status);
  return answer;
}

void HttpClient::wait(std::chrono::milliseconds time) const {
  constexpr std::chrono::milliseconds kPart{50};
  const auto end = std::chrono::steady_clock::now() + time;
  for (auto now = std::chrono::steady_clock::now(); now < end;
       now = std::chrono::steady_clock::now()) {
    if (settings_.watch) settings_.watch();
    std::this_thread::sleep_for(
        std::min(kPart, std::chrono::ceil<std::chrono::milliseconds>(end - now)));
  }
}

Result<HttpAnswer> HttpClient::get(const std::string& url) {
  if (is_plain_http(url) && !(settings_.plain_http_to_loopback && leads_to_this_machine(url)))
    return fail({.code = ErrorCode::kUsage,
                 .where = url.substr(0, kShownOfUrl),
                 .problem = "is not https"});
  std::minstd_rand random(std::random_device{}());
  std::uniform_real_distribution<double> share(0.5, 1.0);
  std::chrono::milliseconds pause = settings_.first_wait;
  for (int number = 1;; ++number) {
    bool may_pass = false;
    auto answer = get_once(url, may_pass);
    if (!may_pass || number >= settings_.tries) return answer;
    // A share of the time by chance, so that many clients do not come back together.
    auto time = std::chrono::duration_cast<std::chrono::milliseconds>(pause * share(random));
    if (answer && answer->wait) {
      time = *answer->wait;
      if (time > settings_.longest_wait)
        return fail(
            {.code = ErrorCode::kBusy,
             .where = url.substr(0, std::min(url.find('?'), kShownOfUrl)),
             .problem = fmt::format("asks to be left alone for {} seconds", answer->wait->count()),
             .hint = "try again later"});
    }
    wait(time);
    pause = std::min<std::chrono::milliseconds>(2 * pause, settings_.longest_wait);
  }
}

}  // namespace bobby::bluesky
