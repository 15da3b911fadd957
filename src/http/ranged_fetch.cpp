#include "http/ranged_fetch.h"

#include <algorithm>
#include <deque>
#include <exception>
#include <fmt/format.h>
#include <memory>
#include <utility>

#include "http/content_range.h"
#include "http/transfer.h"
#include "http/url.h"

namespace bobby::net {
namespace {

using Clock = std::chrono::steady_clock;

constexpr int kMostRedirects = 5;
constexpr std::uint64_t kOpen = UINT64_MAX;  // the end of a file whose size is not known
constexpr long kReceiveBuffer = 256 << 10;
constexpr std::chrono::milliseconds kLook{100};
// A connection that brings so much was worth its try.
constexpr std::uint64_t kWorthATry = 64 << 10;

class Fetch;

// Some bytes of the file, and the transfer that gets them.
struct Part {
  Part(Fetch& owner, std::uint64_t first, std::uint64_t last, std::string where,
       const Patience& patience)
      : fetch(owner), at(first), end(last), url(std::move(where)), backoff(patience) {}

  Fetch& fetch;
  std::uint64_t at;   // the next byte that will come
  std::uint64_t end;  // one past its last byte, or kOpen
  std::string url;
  int redirects = 0;
  Backoff backoff;
  Clock::time_point not_before{};  // when it may be asked for again
  std::vector<std::byte> held;     // what came before its turn
  bool done = false;

  // Of the transfer that runs.
  Easy easy;
  std::vector<std::string> header_lines;
  HeaderList headers;
  bool running = false;
  bool checked = false;  // whether the answer's head has been looked at
  bool wanted = false;   // whether its body is bytes of the file
  std::uint64_t started_at = 0;
  Clock::time_point last_byte{};
};

int status_of(const Part& part) {
  long status = 0;
  curl_easy_getinfo(part.easy.get(), CURLINFO_RESPONSE_CODE, &status);
  return static_cast<int>(status);
}

std::string header_of(const Part& part, const char* name) {
  curl_header* found = nullptr;
  return curl_easy_header(part.easy.get(), name, 0, CURLH_HEADER, -1, &found) == CURLHE_OK
             ? found->value
             : "";
}

// Only such a one stands for the very bytes.
bool is_strong(std::string_view etag) {
  return etag.starts_with('"');
}

class Fetch {
 public:
  Fetch(const FetchRequest& request, const FetchSettings& settings, const ByteSink& sink,
        const FetchWatch& watch)
      : request_(request),
        settings_(settings),
        sink_(sink),
        watch_(watch),
        multi_(make_multi()),
        etag_(request.if_range),
        next_(request.from),
        end_(request.size.value_or(kOpen)) {}
  ~Fetch() {
    for (const auto& part : parts_) stop(*part);
  }
  Fetch(const Fetch&) = delete;
  Fetch& operator=(const Fetch&) = delete;

  Result<FetchEnd> run();
  // What libcurl calls with bytes of an answer; fewer than all of them end the transfer.
  std::size_t take(Part& part, std::span<const std::byte> bytes);

 private:
  bool look_at_head(Part& part);
  bool accept_part(Part& part);
  bool accept_whole(Part& part);
  bool end_with(FetchEnd end);
  bool end_with(Error error);
  bool over() const { return error_ || ended_ || stopped_; }

  void plan();
  void add_part(std::uint64_t last);
  void start(Part& part);
  void stop(Part& part);
  void start_those_due();
  void collect();
  void finish(Part& part, CURLcode code);
  void follow(Part& part);
  void refused(Part& part, int status);
  void try_again(Part& part, Error error);
  void look_for_stalls();
  void hand_on();

  const FetchRequest& request_;
  const FetchSettings& settings_;
  const ByteSink& sink_;
  const FetchWatch& watch_;

  Multi multi_;
  std::deque<std::unique_ptr<Part>> parts_;  // in the file's order; the first is handed on
  std::string etag_;                         // what all answers must have; empty: not known
  std::uint64_t next_;                       // the first byte that no part has
  std::uint64_t end_;
  std::uint64_t received_ = 0;
  bool gives_parts_ = false;  // the server answered with a part
  std::optional<Error> error_;
  std::optional<FetchEnd> ended_;
  std::exception_ptr stopped_;  // of the sink: it may not pass through libcurl
};

std::size_t on_bytes(char* bytes, std::size_t, std::size_t count, void* part) {
  auto& its = *static_cast<Part*>(part);
  return its.fetch.take(its, std::as_bytes(std::span(bytes, count)));
}

bool Fetch::end_with(FetchEnd end) {
  if (!over()) ended_ = end;
  return false;
}

bool Fetch::end_with(Error error) {
  if (!over()) error_ = std::move(error);
  return false;
}

// Whether what follows is to be taken; says so once the answer's head is there.
bool Fetch::look_at_head(Part& part) {
  part.checked = true;
  const int status = status_of(part);
  if (status == 206) return accept_part(part);
  if (status == 200) return accept_whole(part);
  return true;  // finish() sees to it
}

bool Fetch::accept_part(Part& part) {
  const std::string etag = header_of(part, "etag");
  if (is_strong(etag) && is_strong(etag_) && etag != etag_) return end_with(FetchEnd::kChanged);
  const std::string text = header_of(part, "content-range");
  const auto range = parse_content_range(text);
  if (range && range->total && request_.size && *range->total != *request_.size)
    return end_with(FetchEnd::kChanged);
  if (!range || range->first != part.at || range->last >= part.end)
    return end_with({.code = ErrorCode::kMalformed,
                     .where = shown_url(part.url),
                     .problem = "answers with another part than was asked for",
                     .expected = fmt::format("bytes from {}", part.at),
                     .found = text.substr(0, text.find_first_of("\r\n"))});
  if (etag_.empty() && is_strong(etag)) etag_ = etag;
  gives_parts_ = true;
  return part.wanted = true;
}

// All of the file, from its first byte: of use to who asked for that.
bool Fetch::accept_whole(Part& part) {
  if (part.at != 0) return end_with(FetchEnd::kStartOver);
  const auto length = parse_length(header_of(part, "content-length"));
  if (length && request_.size && *length != *request_.size) return end_with(FetchEnd::kChanged);
  part.end = next_ = end_;
  return part.wanted = true;
}

std::size_t Fetch::take(Part& part, std::span<const std::byte> bytes) {
  if (over() || (!part.checked && !look_at_head(part))) return 0;
  part.last_byte = Clock::now();
  if (!part.wanted) return bytes.size();  // the body of a refusal
  if (bytes.size() > part.end - part.at) {
    end_with(FetchEnd::kChanged);
    return 0;
  }
  try {
    if (&part != parts_.front().get()) {
      part.held.insert(part.held.end(), bytes.begin(), bytes.end());
    } else if (auto done = sink_(bytes); !done) {
      end_with(std::move(done).error());
      return 0;
    }
  } catch (...) {
    stopped_ = std::current_exception();
    return 0;
  }
  part.at += bytes.size();
  received_ += bytes.size();
  if (part.at - part.started_at >= kWorthATry) part.backoff.reset();
  return bytes.size();
}

void Fetch::add_part(std::uint64_t last) {
  parts_.push_back(std::make_unique<Part>(*this, next_, last, request_.url, settings_.patience));
  next_ = last;
}

// Adds parts while there are bytes that none has, as many as may run or be held. The first one's
// answer says whether there are others to ask for.
void Fetch::plan() {
  const std::size_t most =
      gives_parts_ ? static_cast<std::size_t>(settings_.connections) * 3 / 2 : 1;
  while (next_ < end_ && parts_.size() < std::max<std::size_t>(most, 1)) {
    const bool rest = end_ == kOpen || end_ - next_ <= settings_.part_bytes;
    add_part(rest ? end_ : next_ + settings_.part_bytes);
  }
}

void Fetch::start(Part& part) {
  if (!part.easy) part.easy = make_easy();
  CURL* const handle = part.easy.get();
  curl_easy_reset(handle);
  part.header_lines = request_.headers;
  part.header_lines.emplace_back("Accept-Encoding: identity");
  if (same_origin(part.url, request_.url))
    part.header_lines.insert(part.header_lines.end(), request_.private_headers.begin(),
                             request_.private_headers.end());
  if (part.at != 0 || part.end != end_) {
    const std::string last = part.end == kOpen ? "" : fmt::format("{}", part.end - 1);
    part.header_lines.push_back(fmt::format("Range: bytes={}-{}", part.at, last));
    if (is_strong(etag_)) part.header_lines.push_back("If-Range: " + etag_);
  }
  part.headers = prepare_transfer(handle, part.url, part.header_lines);
  // Parts over one connection would be no faster than one part.
  curl_easy_setopt(handle, CURLOPT_HTTP_VERSION, static_cast<long>(CURL_HTTP_VERSION_1_1));
  curl_easy_setopt(handle, CURLOPT_CONNECTTIMEOUT_MS,
                   static_cast<long>(settings_.connect_timeout.count()));
  curl_easy_setopt(handle, CURLOPT_BUFFERSIZE, kReceiveBuffer);
  curl_easy_setopt(handle, CURLOPT_PRIVATE, &part);
  curl_easy_setopt(handle, CURLOPT_WRITEFUNCTION, &on_bytes);
  curl_easy_setopt(handle, CURLOPT_WRITEDATA, &part);
  part.running = true;
  part.checked = part.wanted = false;
  part.started_at = part.at;
  part.last_byte = Clock::now();
  curl_multi_add_handle(multi_.get(), handle);
}

void Fetch::stop(Part& part) {
  if (part.running) curl_multi_remove_handle(multi_.get(), part.easy.get());
  part.running = false;
}

void Fetch::start_those_due() {
  auto running = std::ranges::count_if(parts_, [](const auto& part) { return part->running; });
  const auto now = Clock::now();
  for (const auto& part : parts_) {
    if (running >= std::max(settings_.connections, 1)) return;
    if (part->running || part->done || part->not_before > now) continue;
    start(*part);
    ++running;
  }
}

void Fetch::try_again(Part& part, Error error) {
  if (!part.backoff.may_try_again()) {
    end_with(std::move(error));
    return;
  }
  std::optional<std::chrono::seconds> asked;
  if (const int status = status_of(part); is_temporary(status))
    asked = asked_wait(part.easy.get(), status);
  const auto time = part.backoff.next(asked, shown_url(part.url));
  if (!time)
    end_with(time.error());
  else
    part.not_before = Clock::now() + *time;
}

void Fetch::follow(Part& part) {
  auto target = redirect_target(part.url, header_of(part, "location"));
  if (!target) {
    end_with(std::move(target).error());
    return;
  }
  if (++part.redirects > kMostRedirects) {
    end_with({.code = ErrorCode::kIo,
              .where = shown_url(request_.url),
              .problem = "redirects on and on"});
    return;
  }
  part.url = *std::move(target);
}

// A status that is neither of the file nor a redirect.
void Fetch::refused(Part& part, int status) {
  Error error{.code = status == 404 ? ErrorCode::kNotFound : ErrorCode::kIo,
              .where = shown_url(part.url),
              .problem = fmt::format("answers with status {}", status)};
  if (status == 416 && part.at != 0) {
    end_with(FetchEnd::kStartOver);
  } else if (is_temporary(status)) {
    try_again(part, std::move(error));
  } else if (status == 401 || status == 403 || status == 404 || status == 410) {
    end_with(FetchEnd::kExpired);
  } else {
    end_with(std::move(error));
  }
}

void Fetch::finish(Part& part, CURLcode code) {
  stop(part);
  const bool answered = code == CURLE_OK && (part.checked || look_at_head(part));
  if (over()) return;
  if (!answered) {
    TransferFailure failure = transfer_failure(code, part.url);
    // A name that was found before is found again.
    const bool may_pass = failure.may_pass || (code == CURLE_COULDNT_RESOLVE_HOST && received_ > 0);
    if (may_pass)
      try_again(part, std::move(failure.error));
    else
      end_with(std::move(failure.error));
    return;
  }
  const int status = status_of(part);
  if (status == 301 || status == 302 || status == 303 || status == 307 || status == 308) {
    follow(part);
  } else if (!part.wanted) {
    refused(part, status);
  } else if (part.end == kOpen) {
    part.end = end_ = next_ = part.at;
    part.done = true;
  } else if (part.at == part.end) {
    part.done = true;
  } else {
    try_again(part, {.code = ErrorCode::kIo,
                     .where = shown_url(part.url),
                     .problem = "ends before the file does",
                     .expected = fmt::format("{} bytes", part.end),
                     .found = fmt::format("{}", part.at)});
  }
}

void Fetch::collect() {
  int left = 0;
  while (const CURLMsg* message = curl_multi_info_read(multi_.get(), &left)) {
    if (message->msg != CURLMSG_DONE) continue;
    const CURLcode code = message->data.result;
    char* part = nullptr;
    curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &part);
    finish(*reinterpret_cast<Part*>(part), code);
    if (over()) return;
  }
}

void Fetch::look_for_stalls() {
  const auto now = Clock::now();
  for (const auto& part : parts_) {
    if (!part->running || now - part->last_byte < settings_.stall_timeout) continue;
    stop(*part);
    try_again(*part, {.code = ErrorCode::kTimeout,
                      .where = shown_url(part->url),
                      .problem = fmt::format("sends nothing for {} seconds",
                                             settings_.stall_timeout.count() / 1000)});
  }
}

// Parts that are done leave; what the one whose turn it is has held goes on its way.
void Fetch::hand_on() {
  while (!over() && !parts_.empty()) {
    Part& first = *parts_.front();
    if (!first.held.empty()) {
      if (auto done = sink_(first.held); !done) end_with(std::move(done).error());
      first.held = {};
    }
    if (!first.done) return;
    parts_.pop_front();
  }
}

Result<FetchEnd> Fetch::run() {
  while (!over()) {
    plan();
    if (parts_.empty()) return FetchEnd::kDone;
    start_those_due();
    int running = 0;
    curl_multi_perform(multi_.get(), &running);
    collect();
    if (stopped_) std::rethrow_exception(stopped_);
    if (over()) break;
    look_for_stalls();
    hand_on();
    if (watch_) watch_(received_);
    if (!over() && !parts_.empty())
      curl_multi_poll(multi_.get(), nullptr, 0, static_cast<int>(kLook.count()), nullptr);
  }
  if (error_) return fail(*std::move(error_));
  return *ended_;
}

}  // namespace

Result<FetchEnd> fetch_ranged(const FetchRequest& request, const FetchSettings& settings,
                              const ByteSink& sink, const FetchWatch& watch) {
  BOBBY_CHECK(check_scheme(request.url, settings.plain_http_to_loopback));
  return Fetch(request, settings, sink, watch).run();
}

}  // namespace bobby::net
