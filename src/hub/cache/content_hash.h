#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"
#include "http/backoff.h"

namespace bobby::hub {

/// How the hub names the bytes of a file.
enum class HashKind : std::uint8_t {
  kGitBlob,  ///< SHA-1 of "blob LENGTH\0" and the bytes: 40 hex digits
  kSha256,   ///< of the bytes, for large files: 64 hex digits
};

/// The kind that an ETag is of; none for other texts, which say nothing of the bytes.
std::optional<HashKind> hash_kind(std::string_view etag);

/// The hash of bytes as they come.
class ContentHash {
 public:
  /// `size` is how many bytes will come.
  ContentHash(HashKind kind, std::uint64_t size);
  ~ContentHash();
  ContentHash(ContentHash&&) noexcept;
  ContentHash& operator=(ContentHash&&) noexcept;

  void update(std::span<const std::byte> bytes);
  /// Lower-case hex digits. Call once, last.
  std::string hex_digest();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// The hash of a file's bytes, in hex digits. kNotFound or kIo.
Result<std::string> hash_file(const std::filesystem::path& file, HashKind kind,
                              const net::Watch& watch);

}  // namespace bobby::hub
