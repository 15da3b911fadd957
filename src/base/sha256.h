#pragma once

#include <array>
#include <cstddef>
#include <filesystem>
#include <memory>
#include <span>
#include <string>

#include "base/result.h"

namespace bobby {

/// SHA-256 over bytes as they come.
class Sha256 {
 public:
  Sha256();
  ~Sha256();
  Sha256(const Sha256&) = delete;
  Sha256& operator=(const Sha256&) = delete;

  /// Adds bytes; may be called many times.
  void update(std::span<const std::byte> bytes);
  /// 64 lower-case hex digits. Call once.
  std::string hex_digest();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

using Sha256Digest = std::array<std::byte, 32>;

/// The digest of `bytes` itself.
Sha256Digest sha256(std::span<const std::byte> bytes);

/// Hex digest of `bytes`.
std::string sha256_hex(std::span<const std::byte> bytes);

/// Hex digest of a file's bytes. kNotFound or kIo.
Result<std::string> sha256_file(const std::filesystem::path& path);

}  // namespace bobby
