#include "hub/cache/content_hash.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fmt/format.h>
#include <openssl/evp.h>
#include <vector>

namespace bobby::hub {
namespace {

constexpr std::size_t kGitDigits = 40;
constexpr std::size_t kShaDigits = 64;

}  // namespace

std::optional<HashKind> hash_kind(std::string_view etag) {
  const bool hex = std::ranges::all_of(
      etag, [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
  if (hex && etag.size() == kGitDigits) return HashKind::kGitBlob;
  if (hex && etag.size() == kShaDigits) return HashKind::kSha256;
  return std::nullopt;
}

struct ContentHash::State {
  EVP_MD_CTX* context = EVP_MD_CTX_new();
  ~State() { EVP_MD_CTX_free(context); }
};

ContentHash::ContentHash(HashKind kind, std::uint64_t size) : state_(std::make_unique<State>()) {
  const bool git = kind == HashKind::kGitBlob;
  EVP_DigestInit_ex(state_->context, git ? EVP_sha1() : EVP_sha256(), nullptr);
  if (!git) return;
  const std::string head = fmt::format("blob {}", size);
  EVP_DigestUpdate(state_->context, head.c_str(), head.size() + 1);  // with its NUL
}
ContentHash::~ContentHash() = default;
ContentHash::ContentHash(ContentHash&&) noexcept = default;
ContentHash& ContentHash::operator=(ContentHash&&) noexcept = default;

void ContentHash::update(std::span<const std::byte> bytes) {
  EVP_DigestUpdate(state_->context, bytes.data(), bytes.size());
}

std::string ContentHash::hex_digest() {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned int length = 0;
  EVP_DigestFinal_ex(state_->context, digest.data(), &length);
  std::string hex;
  for (unsigned int i = 0; i < length; ++i) hex += fmt::format("{:02x}", digest[i]);
  return hex;
}

Result<std::string> hash_file(const std::filesystem::path& path, HashKind kind,
                              const net::Watch& watch) {
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen(path.c_str(), "rb"),
                                                             &std::fclose);
  std::error_code error;
  const std::uintmax_t size = file ? std::filesystem::file_size(path, error) : 0;
  if (!file || error)
    return fail({.code = errno == ENOENT ? ErrorCode::kNotFound : ErrorCode::kIo,
                 .where = path.string(),
                 .problem = std::strerror(errno)});
  ContentHash hash(kind, size);
  std::vector<std::byte> chunk(std::size_t{1} << 20);
  while (const std::size_t count = std::fread(chunk.data(), 1, chunk.size(), file.get())) {
    hash.update({chunk.data(), count});
    if (watch) watch();
  }
  if (std::ferror(file.get()) != 0)
    return fail({.code = ErrorCode::kIo, .where = path.string(), .problem = "cannot be read"});
  return hash.hex_digest();
}

}  // namespace bobby::hub
