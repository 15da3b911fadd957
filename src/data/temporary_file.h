#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"

namespace bobby::data {

/// Bytes that do not fit into memory: a file without a name, which is gone with its owner however
/// that ends. Bytes are added at the end and read anywhere.
class TemporaryFile {
 public:
  /// In `folder`, which must be there. kIo.
  static Result<TemporaryFile> create(const std::filesystem::path& folder);

  TemporaryFile(TemporaryFile&& other) noexcept;
  TemporaryFile& operator=(TemporaryFile&&) = delete;
  ~TemporaryFile();

  std::uint64_t size() const { return written_ + pending_.size(); }

  /// kIo, a full disk among others.
  Result<void> append(std::string_view bytes);
  /// Fills `into` from byte `offset` on. Precondition: that many were appended. kIo.
  Result<void> read(std::uint64_t offset, std::span<char> into);

 private:
  TemporaryFile(int descriptor, std::string folder)
      : descriptor_(descriptor), folder_(std::move(folder)) {}
  Result<void> flush();

  int descriptor_;
  std::string folder_;
  std::uint64_t written_ = 0;
  std::string pending_;
};

}  // namespace bobby::data
