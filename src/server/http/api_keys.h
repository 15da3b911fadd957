#pragma once

#include <array>
#include <cstddef>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace bobby::http {

/// What a key file holds.
struct KeyFile {
  std::vector<std::string> keys;
  std::string warning;  ///< empty, or a sentence: others may read the file
};

/// Reads a file of keys: one a line, lines of "#" are comments. Fails on a file without keys and on
/// a key that could not be sent in a header field.
Result<KeyFile> read_key_file(const std::filesystem::path& path);

/// Keys as digests under a salt of this process; a check takes as long whatever the key is.
class ApiKeys {
 public:
  explicit ApiKeys(std::span<const std::string> keys);

  bool empty() const { return digests_.empty(); }
  /// The client behind a key: a short digest that is the same while the process runs. Nothing when
  /// the key is not one of ours.
  std::optional<std::string> client_of(std::string_view key) const;

 private:
  using Digest = std::array<unsigned char, 32>;
  Digest digest(std::string_view key) const;

  std::array<unsigned char, 16> salt_{};
  std::vector<Digest> digests_;
};

}  // namespace bobby::http
