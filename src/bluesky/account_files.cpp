#include "bluesky/account_files.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <system_error>
#include <unistd.h>

#include "bluesky/json_answer.h"
#include "http/url.h"

namespace bobby::bluesky {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr const char* kSessionFile = "session.json";
constexpr const char* kBudgetFile = "budget.json";
constexpr const char* kLockFile = "lock";
constexpr const char* kLogInAgain = "log in again";

std::string text_or_none(const json& object, std::string_view key) {
  const std::string* text = text_of(object, key);
  return text == nullptr ? std::string() : *text;
}

}  // namespace

fs::path account_folder(const fs::path& accounts, const std::string& did) {
  // A DID is of letters, digits and ":.%-"; a colon is a bad name for a folder on some systems.
  std::string name = did;
  std::ranges::replace(name, ':', '_');
  std::ranges::replace(name, '/', '_');
  return accounts / name;
}

std::vector<std::string> logged_in_accounts(const fs::path& accounts) {
  std::vector<std::string> dids;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(accounts, error)) {
    const auto session = AccountFiles(entry.path()).session();
    if (session && *session) dids.push_back((*session)->account.did);
  }
  std::ranges::sort(dids);
  return dids;
}

Result<FileLock> AccountFiles::lock(const http::Watch& watch) const {
  constexpr std::chrono::milliseconds kPause{50};
  constexpr int kMostPauses = 2400;  // longer than a request may take
  for (int pauses = 0; pauses < kMostPauses; ++pauses) {
    BOBBY_TRY(auto lock, FileLock::take(folder_ / kLockFile));
    if (lock) return std::move(*lock);
    http::wait(kPause, watch);
  }
  return fail({.code = ErrorCode::kBusy,
               .where = (folder_ / kLockFile).string(),
               .problem = "another process has held it for two minutes"});
}

Result<std::optional<SessionData>> AccountFiles::session() const {
  const fs::path path = folder_ / kSessionFile;
  BOBBY_TRY(const auto bytes, read_private_file(path));
  if (!bytes) return std::nullopt;
  const json parsed = json::parse(*bytes, nullptr, false);
  SessionData data;
  data.account = {.did = text_or_none(parsed, "did"),
                  .handle = text_or_none(parsed, "handle"),
                  .service = text_or_none(parsed, "service")};
  data.access = text_or_none(parsed, "access");
  data.refresh = text_or_none(parsed, "refresh");
  const auto service = http::server_url(data.account.service);
  if (!is_did(data.account.did) || !service || data.access.empty() || data.refresh.empty())
    return fail({.code = ErrorCode::kMalformed,
                 .where = path.string(),
                 .problem = "holds no session",
                 .hint = kLogInAgain});
  const json until = parsed.value("good_until", json());
  data.good_until =
      TimePoint(std::chrono::seconds(until.is_number_integer() ? until.get<std::int32_t>() : 0));
  return data;
}

Result<void> AccountFiles::save(const SessionData& data) const {
  const json record = {
      {"version", 1},
      {"did", data.account.did},
      {"handle", data.account.handle},
      {"service", data.account.service},
      {"access", data.access},
      {"refresh", data.refresh},
      {"good_until",
       std::chrono::floor<std::chrono::seconds>(data.good_until).time_since_epoch().count()}};
  return write_private_file(folder_ / kSessionFile,
                            record.dump(2, ' ', false, json::error_handler_t::replace) + "\n");
}

Result<void> AccountFiles::forget_session() const {
  const fs::path path = folder_ / kSessionFile;
  if (::unlink(path.c_str()) == 0 || errno == ENOENT) return {};
  return fail({.code = ErrorCode::kIo,
               .where = path.string(),
               .problem = "cannot be removed",
               .found = std::generic_category().message(errno)});
}

Result<RateBudget> AccountFiles::budget() const {
  const fs::path path = folder_ / kBudgetFile;
  auto bytes = read_private_file(path);
  if (!bytes && bytes.error().code == ErrorCode::kIo) return fail(std::move(bytes).error());
  if (!bytes || !*bytes) return RateBudget();
  auto budget = RateBudget::from_json(**bytes);
  return budget ? *std::move(budget) : RateBudget();
}

Result<void> AccountFiles::save(const RateBudget& budget) const {
  return write_private_file(folder_ / kBudgetFile, budget.to_json());
}

}  // namespace bobby::bluesky
