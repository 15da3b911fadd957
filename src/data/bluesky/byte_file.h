#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <vector>

#include "base/result.h"
#include "data/bluesky/byte_reader.h"

namespace bobby::data {

/// A file that is read in parts, through one window. Not mapped: what is mapped counts as the
/// process's memory while it is read, and a file that shrinks meanwhile would kill the process.
class ByteFile {
 public:
  /// kNotFound, or kIo (also for what is no plain file). No error of this class names the file:
  /// that is the caller's to add.
  static Result<ByteFile> open(const std::filesystem::path& path);

  std::uint64_t size() const { return size_; }

  /// The bytes from `offset` on: `wanted` of them, or as many as the file has. They are good until
  /// the next call. When they must be read, `ahead` bytes are read at least, for later calls.
  Result<Bytes> view(std::uint64_t offset, std::size_t wanted, std::size_t ahead);

 private:
  struct Close {
    void operator()(const int* descriptor) const;
  };

  ByteFile(int descriptor, std::uint64_t size);

  std::unique_ptr<const int, Close> descriptor_;
  std::uint64_t size_ = 0;
  std::uint64_t begin_ = 0;  // where the window lies in the file
  std::vector<std::byte> window_;
};

}  // namespace bobby::data
