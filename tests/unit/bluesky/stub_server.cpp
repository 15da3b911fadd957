#include "unit/bluesky/stub_server.h"

#include <fmt/format.h>
#include <functional>

#include "bluesky/json_answer.h"

namespace bobby::bluesky {
namespace {

using nlohmann::json;

net::Answer answer_of(int status, const json& body) {
  return {.status = status, .body = body.dump(), .wait = {}};
}
net::Answer error_of(int status, const std::string& name, const std::string& message) {
  return answer_of(status, {{"error", name}, {"message", message}});
}

std::string base64(const std::string& bytes) {
  constexpr std::string_view kDigits =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
  std::string text;
  std::uint32_t held = 0;
  int bits = 0;
  for (const char c : bytes) {
    held = (held << 8) | static_cast<unsigned char>(c);
    for (bits += 8; bits >= 6; bits -= 6) text += kDigits[(held >> (bits - 6)) & 63];
  }
  if (bits > 0) text += kDigits[(held << (6 - bits)) & 63];
  return text;
}

std::string header(const net::Request& request, const std::string& name) {
  for (const std::string& line : request.headers)
    if (line.starts_with(name + ": ")) return line.substr(name.size() + 2);
  return {};
}

std::string query_value(const std::string& url, const std::string& name) {
  const auto at = url.find(name + "=");
  if (at == std::string::npos) return {};
  const auto begin = at + name.size() + 1;
  return url.substr(begin, url.find('&', begin) - begin);
}

}  // namespace

std::string StubServer::cid_of(const json& record) {
  return fmt::format("bafyrei{:016x}", std::hash<std::string>()(record.dump()));
}

json StubServer::make_tokens() {
  const TimePoint theirs = now + clock_ahead;
  const auto issued = std::chrono::floor<std::chrono::seconds>(theirs.time_since_epoch()).count();
  const auto token = [&](const char* scope, std::int64_t life) {
    const json claims = {
        {"scope", scope}, {"iat", issued}, {"exp", issued + life}, {"jti", ++tokens_}};
    return base64(R"({"alg":"none"})") + "." + base64(claims.dump()) + ".c2ln";
  };
  access_ = token("access", token_life.count());
  const std::string refresh = token("refresh", 90 * 86'400);
  refresh_until_[refresh] = now + std::chrono::hours(90 * 24);
  access_until_ = theirs + token_life;
  return {{"accessJwt", access_}, {"refreshJwt", refresh}, {"did", kDid}, {"handle", handle}};
}

Transport StubServer::transport() {
  return {.get = [this](const std::string& url) -> Result<net::Answer> {
            net::Exchange exchange = handle_request({.url = url});
            return std::move(exchange.answer);
          },
          .ask = [this](const net::Request& request) { return handle_request(request); }};
}

SessionSettings StubServer::settings(const std::filesystem::path& folder) {
  SessionSettings settings{.transport = transport(), .folder = folder};
  settings.now = [this] { return now; };
  return settings;
}

net::Exchange StubServer::handle_request(const net::Request& request) {
  const std::scoped_lock lock(mutex_);
  requests.push_back(request);
  const std::string prefix = std::string(kUrl) + "/xrpc/";
  const std::string method =
      request.url.substr(prefix.size(), request.url.find('?') - prefix.size());
  asked.push_back(method.substr(method.rfind('.') + 1));
  auto& own = faults_of[asked.back()];
  auto& queue = own.empty() ? faults : own;
  const Fault fault = queue.empty() ? Fault::kNone : queue.front();
  if (!queue.empty()) queue.pop_front();
  const auto lost = [&](bool may_have_arrived) {
    return net::Exchange{
        .answer = fail({.code = ErrorCode::kIo, .where = kUrl, .problem = "cannot be reached"}),
        .may_have_arrived = may_have_arrived};
  };
  switch (fault) {
    case Fault::kNoConnection: return lost(false);
    case Fault::kRequestLost: return lost(true);
    case Fault::kServerError:
      return {.answer = error_of(500, "InternalServerError", "Internal Server Error")};
    case Fault::kForeignRefusal:
      return {.answer = net::Answer{.status = 403, .body = "<html>Forbidden</html>", .wait = {}}};
    case Fault::kTooMany: {
      net::Answer many = error_of(429, "RateLimitExceeded", "Rate Limit Exceeded");
      many.wait = std::chrono::seconds(90);
      return {.answer = std::move(many)};
    }
    default: break;
  }
  net::Answer done = answer(method, request);
  done.headers = extra_headers;
  if (fault == Fault::kAnswerLost) return lost(true);
  if (fault == Fault::kAnswerGarbled) done.body = "{\"uri\": ";
  if (fault == Fault::kDoneThenError)
    done = error_of(500, "InternalServerError", "Internal Server Error");
  return {.answer = std::move(done)};
}

net::Answer StubServer::answer(const std::string& method, const net::Request& request) {
  const json input = json::parse(request.body.value_or(""), nullptr, false);
  if (method == "com.atproto.repo.getRecord") return find(request.url);
  if (method.starts_with("com.atproto.server.")) return session(method, request, input);
  if (header(request, "Authorization") != "Bearer " + access_)
    return error_of(400, "InvalidToken", "Token could not be verified");
  if (now + clock_ahead >= access_until_) return error_of(400, "ExpiredToken", "Token has expired");
  if (!status.empty()) return error_of(401, status, "Account is deactivated");
  return write(method, input);
}

net::Answer StubServer::session(const std::string& method, const net::Request& request,
                                const json& input) {
  if (method.ends_with("createSession")) {
    if (input["identifier"] != kDid || input["password"] != kPassword)
      return error_of(401, "AuthenticationRequired",
                      "Invalid identifier or password: " + input["password"].get<std::string>());
    ++logins;
    return answer_of(200, make_tokens());
  }
  const std::string bearer = header(request, "Authorization");
  const auto used = refresh_until_.find(bearer.substr(std::min<std::size_t>(bearer.size(), 7)));
  if (used == refresh_until_.end() || used->second <= now)
    return error_of(400, "ExpiredToken", "Token has been revoked");
  if (method.ends_with("deleteSession")) {
    revoke();
    return {.status = 200, .body = "", .wait = {}};
  }
  used->second = std::min(used->second, now + std::chrono::hours(2));
  ++refreshes;
  return answer_of(200, make_tokens());
}

net::Answer StubServer::write(const std::string& method, const json& input) {
  const std::string path = input.value("collection", "") + "/" + input.value("rkey", "");
  const auto there = records.find(path);
  if (method.ends_with("applyWrites")) {
    for (const json& row : input["writes"])
      if (row["$type"] == "com.atproto.repo.applyWrites#create")
        records[row.value("collection", "") + "/" + row.value("rkey", "")] = row["value"];
    return answer_of(200, {{"results", json::array()}});
  }
  if (method.ends_with("createRecord") && there != records.end())
    return error_of(500, "InternalServerError", "Internal Server Error");
  if (input.contains("swapRecord")) {
    const json current = there == records.end() ? json() : json(cid_of(there->second));
    if (input["swapRecord"] != current)
      return error_of(400, "InvalidSwap", "Record was at " + current.dump());
  }
  if (method.ends_with("deleteRecord")) {
    records.erase(path);
    return answer_of(200, json::object());
  }
  records[path] = input["record"];
  ++commits[path];
  return answer_of(200, {{"uri", fmt::format("at://{}/{}", kDid, path)},
                         {"cid", cid_of(input["record"])},
                         {"validationStatus", "valid"}});
}

net::Answer StubServer::find(const std::string& url) const {
  const std::string path = query_value(url, "collection") + "/" + query_value(url, "rkey");
  const auto there = records.find(path);
  if (there == records.end())
    return error_of(400, "RecordNotFound", "Could not locate record: " + path);
  return answer_of(200, {{"uri", fmt::format("at://{}/{}", kDid, path)},
                         {"cid", cid_of(there->second)},
                         {"value", there->second}});
}

}  // namespace bobby::bluesky
