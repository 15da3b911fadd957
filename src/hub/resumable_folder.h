#pragma once

#include <filesystem>
#include <string_view>

#include "base/result.h"

namespace bobby {

/// A folder that appears whole or not at all, and whose making can be taken up again: files are
/// written into a hidden one beside it (".NAME.partial" for "NAME"), which stays behind when the
/// process dies and which commit() renames. One process at a time.
class ResumableFolder {
 public:
  /// Takes up what an earlier call with the same `plan`, any text, left; what was left of another
  /// plan is removed. kUsage when `target` exists; kBusy when another process is making it; kIo.
  static Result<ResumableFolder> open(const std::filesystem::path& target, std::string_view plan);

  /// The hidden folder of `target`.
  static std::filesystem::path partial_of(const std::filesystem::path& target);

  ResumableFolder(ResumableFolder&& other) noexcept;
  ResumableFolder& operator=(ResumableFolder&&) = delete;
  /// Without commit() the hidden folder goes, unless keep() was called.
  ~ResumableFolder();

  /// Where to write.
  const std::filesystem::path& path() const { return partial_; }
  /// Where to note what is done; not part of the folder that appears.
  std::filesystem::path notes() const;

  /// From here on (or not) what is there is worth taking up again.
  void keep(bool keep = true) { keep_ = keep; }

  /// Writes a small file of the folder, or of notes(), so that it is on the disk whole or not at
  /// all. kIo.
  Result<void> write_text(const std::filesystem::path& file, std::string_view text) const;

  /// Puts the folder in its place. Call once, last. kIo.
  Result<void> commit();

 private:
  ResumableFolder(std::filesystem::path target, std::filesystem::path partial, int lock)
      : target_(std::move(target)), partial_(std::move(partial)), lock_(lock) {}

  std::filesystem::path target_;
  std::filesystem::path partial_;  // empty: committed, or moved from
  int lock_ = -1;                  // the hidden folder, open and locked
  bool keep_ = false;
};

}  // namespace bobby
