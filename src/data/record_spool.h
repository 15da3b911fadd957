#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "data/temporary_file.h"

namespace bobby::data {

/// Texts kept on disk and numbered from 0: eight bytes of memory each.
class RecordSpool {
 public:
  /// In `folder`. kIo.
  static Result<RecordSpool> create(const std::filesystem::path& folder);

  std::size_t size() const { return begins_.size(); }
  /// kIo.
  Result<void> append(std::string_view record);
  /// Precondition: index < size(). kIo.
  Result<std::string> read(std::size_t index);

 private:
  explicit RecordSpool(TemporaryFile file) : file_(std::move(file)) {}

  TemporaryFile file_;
  std::vector<std::uint64_t> begins_;
};

}  // namespace bobby::data
