#include "http/client.h"

#include <algorithm>
#include <fmt/format.h>
#include <memory>
#include <strings.h>
#include <sys/socket.h>
#include <utility>

#include "http/public_address.h"
#include "http/transfer.h"
#include "http/url.h"

namespace bobby::net {
namespace {

constexpr long kMostRedirects = 3;

// Libcurl asks for a socket with the address that it is about to connect to: what a name was found
// to be a moment ago does not matter.
curl_socket_t open_public(void* refused, curlsocktype, curl_sockaddr* address) {
  if (is_public_address(&address->addr))
    return ::socket(address->family, address->socktype, address->protocol);
  *static_cast<bool*>(refused) = true;
  return CURL_SOCKET_BAD;
}

}  // namespace

const std::string* Answer::header(std::string_view name) const {
  for (const auto& [key, value] : headers)
    if (key.size() == name.size() && ::strncasecmp(key.data(), name.data(), name.size()) == 0)
      return &value;
  return nullptr;
}

// One try: what comes in.
struct Client::Transfer {
  explicit Transfer(const ClientSettings& its) : settings(its) {}

  const ClientSettings& settings;
  std::string body;
  bool too_long = false;
  bool is_private = false;  // an address that it was led to

  static std::size_t take(const char* bytes, std::size_t, std::size_t count, void* self) {
    auto& transfer = *static_cast<Transfer*>(self);
    if (count > transfer.settings.most_bytes - transfer.body.size()) {
      transfer.too_long = true;
      return 0;
    }
    transfer.body.append(bytes, count);
    return count;
  }
};

Client::Client(ClientSettings settings)
    : settings_(std::move(settings)), easy_(make_easy()), multi_(make_multi()) {}
Client::~Client() = default;

HeaderList Client::prepare(Transfer& transfer, const Request& request) {
  CURL* const handle = easy_.get();
  curl_easy_reset(handle);  // connections and addresses stay
  HeaderList headers = prepare_transfer(handle, request.url, request.headers);
  curl_easy_setopt(handle, CURLOPT_REDIR_PROTOCOLS_STR, "https");
  const bool follow = request.follow && !is_plain_http(request.url);
  curl_easy_setopt(handle, CURLOPT_FOLLOWLOCATION, follow ? 1L : 0L);
  curl_easy_setopt(handle, CURLOPT_MAXREDIRS, kMostRedirects);
  curl_easy_setopt(handle, CURLOPT_NOBODY, request.head ? 1L : 0L);
  if (request.body) {
    curl_easy_setopt(handle, CURLOPT_POSTFIELDSIZE_LARGE,
                     static_cast<curl_off_t>(request.body->size()));
    curl_easy_setopt(handle, CURLOPT_POSTFIELDS, request.body->c_str());
    curl_easy_setopt(handle, CURLOPT_FRESH_CONNECT, 1L);
  }
  // What libcurl can unpack; a HEAD asks how long the thing itself is.
  curl_easy_setopt(handle, CURLOPT_ACCEPT_ENCODING, request.head ? "identity" : "");
  curl_easy_setopt(handle, CURLOPT_CONNECTTIMEOUT_MS,
                   static_cast<long>(settings_.connect_timeout.count()));
  curl_easy_setopt(handle, CURLOPT_TIMEOUT_MS, static_cast<long>(settings_.timeout.count()));
  if (settings_.public_addresses_only) {
    curl_easy_setopt(handle, CURLOPT_PROXY, "");
    curl_easy_setopt(handle, CURLOPT_OPENSOCKETFUNCTION, &open_public);
    curl_easy_setopt(handle, CURLOPT_OPENSOCKETDATA, &transfer.is_private);
  }
  curl_easy_setopt(handle, CURLOPT_WRITEFUNCTION, &Transfer::take);
  curl_easy_setopt(handle, CURLOPT_WRITEDATA, &transfer);
  return headers;
}

Answer Client::answer_of(Transfer& transfer) {
  CURL* const handle = easy_.get();
  long status = 0;
  curl_easy_getinfo(handle, CURLINFO_RESPONSE_CODE, &status);
  Answer answer{.status = static_cast<int>(status), .body = std::move(transfer.body), .wait = {}};
  answer.wait = asked_wait(handle, answer.status);
  curl_header* header = nullptr;
  while ((header = curl_easy_nextheader(handle, CURLH_HEADER, -1, header)) != nullptr)
    answer.headers.emplace_back(header->name, header->value);
  return answer;
}

// curl_easy_perform() looks up once a second alone, which is too seldom for a watch.
CURLcode Client::perform() {
  constexpr int kLook = 100;  // milliseconds
  CURL* const handle = easy_.get();
  CURLM* const multi = multi_.get();
  if (curl_multi_add_handle(multi, handle) != CURLM_OK) return CURLE_FAILED_INIT;
  const auto remove = [multi](CURL* added) { curl_multi_remove_handle(multi, added); };
  const std::unique_ptr<CURL, decltype(remove)> added(handle, remove);  // also when watch() throws
  for (;;) {
    int running = 0;
    if (curl_multi_perform(multi, &running) != CURLM_OK) return CURLE_FAILED_INIT;
    int queued = 0;
    while (const CURLMsg* message = curl_multi_info_read(multi, &queued))
      if (message->msg == CURLMSG_DONE) return message->data.result;
    if (running == 0) return CURLE_FAILED_INIT;
    if (settings_.watch) settings_.watch();
    curl_multi_poll(multi, nullptr, 0, kLook, nullptr);
  }
}

Result<Answer> Client::send_once(const Request& request, bool& may_pass) {
  Transfer transfer(settings_);
  const HeaderList headers = prepare(transfer, request);
  const CURLcode code = perform();
  if (transfer.too_long)
    return fail({.code = ErrorCode::kLimit,
                 .where = shown_url(request.url),
                 .problem = fmt::format("answers with more than {} bytes", settings_.most_bytes)});
  if (code != CURLE_OK && transfer.is_private)
    return fail({.code = ErrorCode::kUsage,
                 .where = shown_url(request.url),
                 .problem = "leads to an address that is not public"});
  if (code != CURLE_OK) {
    TransferFailure failure = transfer_failure(code, request.url);
    may_pass = failure.may_pass;
    return fail(std::move(failure.error));
  }
  Answer answer = answer_of(transfer);
  may_pass = is_temporary(answer.status);
  return answer;
}

Result<Answer> Client::send(const Request& request) {
  BOBBY_CHECK(check_scheme(request.url, settings_.plain_http_to_loopback));
  Backoff backoff(settings_.patience);
  for (;;) {
    bool may_pass = false;
    auto answer = send_once(request, may_pass);
    if (!may_pass || !backoff.may_try_again()) return answer;
    const auto asked = answer ? answer->wait : std::nullopt;
    BOBBY_TRY(const auto time, backoff.next(asked, shown_url(request.url)));
    wait(time, settings_.watch);
  }
}

Exchange Client::ask_once(const Request& request) {
  if (auto checked = check_scheme(request.url, settings_.plain_http_to_loopback); !checked)
    return {.answer = fail(std::move(checked).error())};
  bool may_pass = false;
  Exchange exchange{.answer = send_once(request, may_pass)};
  long bytes_sent = 0;
  curl_easy_getinfo(easy_.get(), CURLINFO_REQUEST_SIZE, &bytes_sent);
  exchange.may_have_arrived = bytes_sent > 0;
  return exchange;
}

}  // namespace bobby::net
