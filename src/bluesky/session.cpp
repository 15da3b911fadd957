#include "bluesky/session.h"

#include <algorithm>
#include <fmt/chrono.h>
#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <utility>

#include "bluesky/json_answer.h"
#include "bluesky/token.h"

namespace bobby::bluesky {
namespace {

using nlohmann::json;
using std::chrono::seconds;

Verdict later(Error error, bool needs_person = false) {
  return {.outcome = Outcome::kLater, .error = std::move(error), .needs_person = needs_person};
}

Verdict not_before(TimePoint time, const std::string& where) {
  Verdict verdict = later(
      {.code = ErrorCode::kBusy,
       .where = where,
       .problem = fmt::format(
           "may be asked again at {:%Y-%m-%d %H:%M:%S} UTC, by its limits",
           fmt::gmtime(std::chrono::system_clock::to_time_t(std::chrono::ceil<seconds>(time))))});
  verdict.not_before = time;
  return verdict;
}

// For how long a token is good. What counts is how long its maker says it lives: its clock may be
// another than ours.
seconds life_of(const std::string& token, TimePoint now) {
  constexpr seconds kLongest{30 * 86'400};
  constexpr seconds kUnknown{3600};
  const TokenTimes times = token_times(token);
  if (!times.expires) return kUnknown;
  const seconds begin = times.issued.value_or(std::chrono::floor<seconds>(now.time_since_epoch()));
  return std::clamp(*times.expires - begin, seconds(0), kLongest);
}

TimePoint good_until(const std::string& token, TimePoint now) {
  constexpr seconds kMostMargin{60};
  const seconds life = life_of(token, now);
  return now + life - std::min(kMostMargin, life / 10);
}

Error not_logged_in(const std::filesystem::path& folder) {
  return {.code = ErrorCode::kNotFound,
          .where = folder.string(),
          .problem = "holds no session",
          .hint = "log in"};
}

// Why a login failed, where that is the person's to mend.
Error login_error(const XrpcReply& reply) {
  Error error = reply.verdict.error;
  if (reply.error_name == "AuthFactorTokenRequired") {
    error.code = ErrorCode::kUsage;
    error.problem = "wants the code that it has sent by mail";
    error.hint = "give the code, or use an app password, which needs none";
  } else if (reply.error_name == "AuthenticationRequired") {
    error.code = ErrorCode::kUsage;
    error.problem = "does not take this password for this account";
    error.hint = "use an app password from Bluesky's settings";
  }
  return error;
}

}  // namespace

Session::Session(SessionSettings settings, AccountFiles files, SessionData data)
    : settings_(std::move(settings)), files_(std::move(files)), data_(std::move(data)) {}

Result<Session> Session::open(SessionSettings settings) {
  AccountFiles files(settings.folder);
  BOBBY_TRY(auto data, files.session());
  if (!data) return fail(not_logged_in(settings.folder));
  return Session(std::move(settings), std::move(files), *std::move(data));
}

Result<Session> Session::log_in(SessionSettings settings, const Account& account,
                                const Credentials& credentials, bool again) {
  AccountFiles files(settings.folder);
  if (const auto stored = files.session(); !again && stored && *stored &&
                                           (*stored)->account.did == account.did &&
                                           (*stored)->account.service == account.service) {
    Session session(settings, files, **stored);
    const auto failed = session.renew(session.data_.access);
    if (!failed) return session;
    if (!failed->needs_person) return fail(failed->error);
  }
  Session session(std::move(settings), std::move(files), {.account = account});
  if (auto busy = session.spend(Spending::kLogin, 1)) return fail(std::move(busy->error));
  XrpcCall call{.service = account.service,
                .method = "com.atproto.server.createSession",
                .input = {{"identifier", account.did}, {"password", credentials.password}}};
  if (!credentials.sign_in_code.empty()) call.input["authFactorToken"] = credentials.sign_in_code;
  const XrpcReply reply = call_xrpc(session.settings_.transport.ask, call, session.now());
  session.learn(Spending::kLogin, reply);
  if (reply.verdict.outcome != Outcome::kDone) return fail(login_error(reply));
  BOBBY_TRY(const FileLock lock, session.files_.lock(session.settings_.watch));
  BOBBY_CHECK(session.adopt(reply.output));
  BOBBY_CHECK(session.keep());
  return session;
}

Result<void> Session::adopt(const json& tokens) {
  const std::string* access = text_of(tokens, "accessJwt");
  const std::string* refresh = text_of(tokens, "refreshJwt");
  const std::string* did = text_of(tokens, "did");
  const std::string* handle = text_of(tokens, "handle");
  if (access == nullptr || refresh == nullptr || access->empty() || refresh->empty())
    return fail({.code = ErrorCode::kMalformed,
                 .where = data_.account.service,
                 .problem = "answers without a session"});
  // They become header lines.
  for (const std::string* token : {access, refresh})
    if (std::ranges::any_of(*token, [](char c) { return c <= ' ' || c > '~'; }))
      return fail({.code = ErrorCode::kMalformed,
                   .where = data_.account.service,
                   .problem = "answers with a token that is none"});
  if (did == nullptr || *did != data_.account.did)
    return fail({.code = ErrorCode::kMismatch,
                 .where = data_.account.service,
                 .problem = "answers with another account's session",
                 .expected = data_.account.did,
                 .found = did == nullptr ? "none" : did->substr(0, 200)});
  // What a server says where the handle leads elsewhere by now.
  constexpr std::string_view kNoHandle = "handle.invalid";
  if (handle != nullptr && is_handle(*handle) && *handle != kNoHandle)
    data_.account.handle = *handle;
  data_.access = *access;
  data_.refresh = *refresh;
  data_.good_until = good_until(data_.access, now());
  kept_ = false;
  return {};
}

Result<void> Session::keep() {
  BOBBY_CHECK(files_.save(data_));
  kept_ = true;
  return {};
}

std::optional<Verdict> Session::ensure_token() {
  if (!kept_) {
    // A full disk, a while ago: the file's own token has been replaced by this one.
    const auto lock = files_.lock(settings_.watch);
    if (!lock) return later(lock.error());
    if (const auto kept = keep(); !kept) return later(kept.error());
  }
  // Who has logged out meanwhile, in another process, means this one too.
  const auto stored = files_.session();
  if (stored && !*stored) return later(not_logged_in(settings_.folder), true);
  if (now() < data_.good_until) return std::nullopt;
  return renew(data_.access);
}

std::optional<Verdict> Session::renew(const std::string& stale_access) {
  const auto lock = files_.lock(settings_.watch);
  if (!lock) return later(lock.error());
  if (kept_) {
    const auto stored = files_.session();
    if (!stored) return later(stored.error(), stored.error().code != ErrorCode::kIo);
    if (!*stored) return later(not_logged_in(settings_.folder), true);
    const bool is_newer = (*stored)->access != stale_access;
    data_ = **stored;
    if (is_newer && now() < data_.good_until) return std::nullopt;  // another process has done it
  }
  const XrpcReply reply = call_xrpc(settings_.transport.ask,
                                    {.service = data_.account.service,
                                     .method = "com.atproto.server.refreshSession",
                                     .token = data_.refresh},
                                    now());
  if (reply.verdict.outcome != Outcome::kDone) {
    Verdict verdict = reply.verdict;  // whatever came of it, nothing else was sent
    verdict.outcome = Outcome::kLater;
    return verdict;
  }
  if (const auto adopted = adopt(reply.output); !adopted) return later(adopted.error());
  if (const auto kept = keep(); !kept) return later(kept.error());
  return std::nullopt;
}

std::optional<Verdict> Session::spend(Spending what, std::int64_t count) {
  const TimePoint time = now();
  const auto lock = files_.lock(settings_.watch);
  if (!lock) return later(lock.error());
  auto budget = files_.budget();
  if (!budget) return later(budget.error());
  if (const TimePoint earliest = budget->earliest(what, time, count); earliest > time)
    return not_before(earliest, data_.account.service);
  if (what == Spending::kRead) return std::nullopt;
  budget->spend(what, time, count);
  if (const auto saved = files_.save(*budget); !saved) return later(saved.error());
  return std::nullopt;
}

void Session::learn(Spending what, const XrpcReply& reply) {
  constexpr int kTooMany = 429;
  if (reply.status != kTooMany && !reply.limit.remaining) return;
  // What a server says of itself is worth less than what it answered: failures are not told.
  const auto lock = files_.lock(settings_.watch);
  auto budget = files_.budget();
  if (!lock || !budget) return;
  budget->learn(what, reply.limit, reply.status == kTooMany, now());
  static_cast<void>(files_.save(*budget));
}

XrpcReply Session::call(XrpcCall call, Spending what, std::int64_t count) {
  if (auto verdict = spend(what, count)) return {.verdict = *std::move(verdict)};
  if (auto verdict = ensure_token()) return {.verdict = *std::move(verdict)};
  call.service = data_.account.service;
  call.token = data_.access;
  XrpcReply reply = call_xrpc(settings_.transport.ask, call, now());
  if (reply.error_name == "ExpiredToken") {
    if (auto verdict = renew(call.token)) return {.verdict = *std::move(verdict)};
    call.token = data_.access;
    reply = call_xrpc(settings_.transport.ask, call, now());
  }
  learn(what, reply);
  return reply;
}

Result<net::Answer> Session::get(const std::string& method, const std::string& query) {
  return settings_.transport.get(
      fmt::format("{}/xrpc/{}?{}", data_.account.service, method, query));
}

Result<Verdict> Session::log_out() {
  const auto lock = files_.lock(settings_.watch);
  if (!lock) return fail(lock.error());
  // The newest token is in the file, unless another process has logged out already.
  if (const auto stored = files_.session(); kept_ && stored && *stored) data_ = **stored;
  XrpcReply reply = call_xrpc(settings_.transport.ask,
                              {.service = data_.account.service,
                               .method = "com.atproto.server.deleteSession",
                               .token = data_.refresh,
                               .has_output = false},
                              now());
  BOBBY_CHECK(files_.forget_session());
  return std::move(reply.verdict);
}

}  // namespace bobby::bluesky
