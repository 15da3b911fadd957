#pragma once

#include <cstdint>
#include <filesystem>
#include <string_view>

#include "base/result.h"

namespace bobby {

/// A folder that appears whole or not at all: files are written into a hidden one beside it, which
/// commit() renames. Without commit() nothing is left behind.
class OutputFolder {
 public:
  enum class Existing : std::uint8_t {
    kRefuse,   ///< nothing is written over
    kReplace,  ///< a folder that stands there is removed once the new one is whole
  };

  /// kUsage when `target` exists and may not be replaced, or is no folder; kIo.
  static Result<OutputFolder> create(const std::filesystem::path& target,
                                     Existing existing = Existing::kRefuse);

  OutputFolder(OutputFolder&& other) noexcept;
  OutputFolder& operator=(OutputFolder&&) = delete;
  ~OutputFolder();

  /// Where to write.
  const std::filesystem::path& path() const { return partial_; }

  /// Writes a small file. kIo.
  Result<void> write_text(std::string_view file_name, std::string_view text) const;

  /// Puts the folder in its place. Call once, last. kIo.
  Result<void> commit();

 private:
  OutputFolder(std::filesystem::path target, std::filesystem::path partial)
      : target_(std::move(target)), partial_(std::move(partial)) {}

  std::filesystem::path target_;
  std::filesystem::path partial_;  // empty: committed, or moved from
};

}  // namespace bobby
