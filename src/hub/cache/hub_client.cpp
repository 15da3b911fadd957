#include "hub/cache/hub_client.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <string_view>
#include <utility>

#include "http/content_range.h"
#include "http/url.h"
#include "hub/cache/cache_layout.h"
#include "hub/cache/content_hash.h"

namespace bobby::hub {
namespace {

using nlohmann::json;

constexpr std::size_t kMostFiles = 100'000;
constexpr std::size_t kMostListing = std::size_t{64} << 20;
constexpr int kMostRedirects = 5;

net::ClientSettings client_settings(const HubSettings& settings, net::Watch watch) {
  return {.connect_timeout = settings.etag_timeout,
          .timeout = settings.etag_timeout,
          .most_bytes = kMostListing,
          .patience = settings.patience,
          // Who names a hub on this machine is testing; from elsewhere nothing may lead here.
          .plain_http_to_loopback = net::leads_to_this_machine(settings.endpoint),
          .watch = std::move(watch)};
}

// A path in a URL: each part escaped, "/" between them.
std::string escape_path(std::string_view path) {
  std::string url;
  for (;;) {
    const auto slash = path.find('/');
    url += net::escape_query(std::string(path.substr(0, slash)));
    if (slash == std::string_view::npos) return url;
    url += '/';
    path.remove_prefix(slash + 1);
  }
}

bool is_redirect(int status) {
  return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

std::string header(const net::Answer& answer, std::string_view name) {
  const std::string* text = answer.header(name);
  return text == nullptr ? std::string() : *text;
}

// What the hub says of a refusal, fit for a terminal.
std::string told(const net::Answer& answer) {
  return net::shown_url(header(answer, "X-Error-Message"));
}

Error refusal(const net::Answer& answer, const HubName& name, const HubSettings& settings) {
  const bool with_token = !settings.token.empty();
  const std::string code = header(answer, "X-Error-Code");
  const int status = answer.status;
  Error error{.code = ErrorCode::kIo, .where = name.text()};
  if (code == "RevisionNotFound") {
    error.code = ErrorCode::kNotFound;
    error.problem = fmt::format("the repository has no revision \"{}\"", name.revision);
  } else if (code == "GatedRepo") {
    error.problem = "is gated: the hub lets only those have it who accepted its terms";
    error.hint = fmt::format("accept them at {}/{}, {}", settings.endpoint, name.repository(),
                             with_token ? "with the account of this token"
                                        : "and give a token of that account in HF_TOKEN");
  } else if (status == 401 && with_token) {
    error.problem = "is not on the hub, or the token may not see it";
    error.hint = "check the name, and HF_TOKEN or the token file";
  } else if (status == 401 || status == 404) {
    error.code = ErrorCode::kNotFound;
    error.problem = "is not on the hub, or is private";
    error.hint = with_token ? "check the name" : "check the name; HF_TOKEN opens private ones";
  } else if (status == 429) {
    error.code = ErrorCode::kBusy;
    error.problem = "the hub has been asked too often";
    error.hint = "try again later";
  } else {
    error.problem = fmt::format("the hub answers with status {}", status);
  }
  error.found = told(answer);
  return error;
}

tl::unexpected<Error> malformed(const std::string& where, std::string problem) {
  return fail({.code = ErrorCode::kMalformed, .where = where, .problem = std::move(problem)});
}

Error redirects_on(std::string where) {
  return {
      .code = ErrorCode::kIo, .where = std::move(where), .problem = "the hub redirects on and on"};
}

}  // namespace

Result<Listing> parse_listing(std::string_view text, const std::string& where) {
  const json body = json::parse(text, nullptr, false);
  if (!body.is_object())
    return malformed(where, "the hub answers with something other than a JSON object");
  const auto commit = body.find("sha");
  if (commit == body.end() || !commit->is_string() ||
      !is_commit(commit->get_ref<const std::string&>()))
    return malformed(where, "the hub's answer has no 'sha' that is a commit");
  const auto siblings = body.find("siblings");
  if (siblings == body.end() || !siblings->is_array())
    return malformed(where, "the hub's answer has no list of files ('siblings')");
  if (siblings->size() > kMostFiles)
    return malformed(where, fmt::format("the repository has more than {} files", kMostFiles));
  Listing listing{.commit = *commit, .paths = {}};
  for (const json& sibling : *siblings) {
    const auto path = sibling.is_object() ? sibling.find("rfilename") : sibling.end();
    if (!sibling.is_object() || path == sibling.end() || !path->is_string())
      return malformed(where, "the hub lists a file without a name ('rfilename')");
    if (!is_safe_path(path->get_ref<const std::string&>()))
      return malformed(
          where,
          fmt::format("the hub lists a file whose path is not safe: {}",
                      path->dump(-1, ' ', true, json::error_handler_t::replace).substr(0, 200)));
    listing.paths.push_back(*path);
  }
  return listing;
}

HubClient::HubClient(const HubSettings& settings, net::Watch watch)
    : settings_(settings), client_(client_settings(settings, std::move(watch))) {
  if (!settings_.token.empty()) headers_.push_back("Authorization: Bearer " + settings_.token);
}

Result<net::Answer> HubClient::ask(const std::string& url, bool head) {
  const bool ours = net::same_origin(url, settings_.endpoint);
  return client_.send(
      {.url = url, .head = head, .headers = ours ? headers_ : std::vector<std::string>()});
}

Result<Listing> HubClient::list(const HubName& name) {
  std::string url = fmt::format("{}/api/models/{}/revision/{}", settings_.endpoint,
                                name.repository(), net::escape_query(name.revision));
  for (int redirects = 0; redirects <= kMostRedirects; ++redirects) {
    BOBBY_TRY(const net::Answer answer, ask(url, false));
    if (answer.status == 200) return parse_listing(answer.body, name.text());
    if (!is_redirect(answer.status)) return fail(refusal(answer, name, settings_));
    BOBBY_TRY(url, net::redirect_target(url, header(answer, "Location")));
  }
  return fail(redirects_on(name.text()));
}

// The answer that tells of a file, and where its bytes are.
struct HubClient::Head {
  net::Answer answer;
  std::string commit;
  std::string url;
};

Result<HubClient::Head> HubClient::ask_for_file(const HubName& name, const std::string& path) {
  Head head;
  head.url = fmt::format("{}/{}/resolve/{}/{}", settings_.endpoint, name.repository(),
                         net::escape_query(name.revision), escape_path(path));
  for (int redirects = 0; redirects <= kMostRedirects; ++redirects) {
    BOBBY_TRY(head.answer, ask(head.url, true));
    if (std::string commit = header(head.answer, "X-Repo-Commit"); !commit.empty())
      head.commit = std::move(commit);
    if (!is_redirect(head.answer.status)) return head;
    BOBBY_TRY(std::string target, net::redirect_target(head.url, header(head.answer, "Location")));
    const bool leaves = !net::same_origin(head.url, target);
    head.url = std::move(target);
    if (leaves) return head;
  }
  return fail(redirects_on(fmt::format("{}: {}", name.text(), path)));
}

Result<RemoteFile> HubClient::find(const HubName& name, const std::string& path, bool* absent) {
  const std::string where = fmt::format("{}: {}", name.text(), path);
  BOBBY_TRY(const Head head, ask_for_file(name, path));
  const net::Answer& answer = head.answer;
  if (answer.status == 404 && header(answer, "X-Error-Code") == "EntryNotFound") {
    if (absent != nullptr) *absent = head.commit == name.revision;
    return fail({.code = ErrorCode::kNotFound,
                 .where = where,
                 .problem = "the repository has no such file"});
  }
  if (answer.status != 200 && !is_redirect(answer.status))
    return fail(refusal(answer, name, settings_));
  if (head.commit.empty())
    return malformed(where, "the answer names no commit (X-Repo-Commit), so it is not a hub's");
  if (head.commit != name.revision)
    return fail({.code = ErrorCode::kMismatch,
                 .where = where,
                 .problem = "the hub answers for another commit",
                 .expected = name.revision,
                 .found = net::shown_url(head.commit)});
  std::string etag = header(answer, "X-Linked-Etag");
  const std::string own = header(answer, "ETag");
  if (etag.empty()) etag = own;
  auto blob = normalized_etag(etag);
  if (!blob || !hash_kind(*blob))
    return malformed(where, "the hub gives no ETag that is a hash of the file's bytes");
  RemoteFile file{.path = path,
                  .commit = head.commit,
                  .etag = *std::move(blob),
                  .size = {},
                  .url = head.url,
                  .if_range = answer.status == 200 ? own : std::string()};
  std::string size = header(answer, "X-Linked-Size");
  if (size.empty() && answer.status == 200) size = header(answer, "Content-Length");
  if (!size.empty()) {
    file.size = net::parse_length(size);
    if (!file.size) return malformed(where, "the hub gives a length that is no number");
  }
  return file;
}

}  // namespace bobby::hub
