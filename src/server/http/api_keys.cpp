#include "server/http/api_keys.h"

#include <algorithm>
#include <fmt/format.h>
#include <fstream>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>

namespace bobby::http {
namespace {

std::string trimmed(std::string_view line) {
  const std::size_t begin = line.find_first_not_of(" \t\r");
  if (begin == std::string_view::npos) return {};
  return std::string(line.substr(begin, line.find_last_not_of(" \t\r") - begin + 1));
}

bool can_be_sent(std::string_view key) {
  return std::all_of(key.begin(), key.end(), [](char c) { return c > 0x20 && c < 0x7F; });
}

}  // namespace

Result<KeyFile> read_key_file(const std::filesystem::path& path) {
  namespace fs = std::filesystem;
  std::error_code status;
  const bool exists = fs::exists(path, status);
  std::ifstream stream(path);
  if (!stream || fs::is_directory(path, status))
    return fail({.code = exists ? ErrorCode::kIo : ErrorCode::kNotFound,
                 .where = path.string(),
                 .problem = "the file of API keys cannot be read",
                 .hint = "write one key a line"});
  KeyFile file;
  int number = 0;
  for (std::string line; std::getline(stream, line);) {
    ++number;
    std::string key = trimmed(line);
    if (key.empty() || key.front() == '#') continue;
    if (!can_be_sent(key))
      return fail({.code = ErrorCode::kMalformed,
                   .where = fmt::format("{}: line {}", path.string(), number),
                   .problem = "a key holds a space or a character that is not plain ASCII"});
    file.keys.push_back(std::move(key));
  }
  if (file.keys.empty())
    return fail({.code = ErrorCode::kUsage,
                 .where = path.string(),
                 .problem = "holds no API key",
                 .hint = "write one key a line"});
  const fs::perms others = fs::perms::group_read | fs::perms::others_read;
  if ((fs::status(path, status).permissions() & others) != fs::perms::none)
    file.warning =
        fmt::format("{0}: others can read the API keys; run: chmod 600 {0}", path.string());
  return file;
}

ApiKeys::ApiKeys(std::span<const std::string> keys) {
  RAND_bytes(salt_.data(), static_cast<int>(salt_.size()));
  for (const std::string& key : keys) digests_.push_back(digest(key));
}

ApiKeys::Digest ApiKeys::digest(std::string_view key) const {
  std::string salted(salt_.begin(), salt_.end());
  salted += key;
  Digest result{};
  EVP_Digest(salted.data(), salted.size(), result.data(), nullptr, EVP_sha256(), nullptr);
  return result;
}

std::optional<std::string> ApiKeys::client_of(std::string_view key) const {
  const Digest given = digest(key);
  bool known = false;
  for (const Digest& ours : digests_)
    known |= CRYPTO_memcmp(ours.data(), given.data(), given.size()) == 0;
  if (!known) return std::nullopt;
  return fmt::format("key-{:02x}{:02x}{:02x}{:02x}", given[0], given[1], given[2], given[3]);
}

}  // namespace bobby::http
