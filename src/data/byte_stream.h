#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>

#include "base/progress.h"
#include "base/result.h"
#include "base/sha256.h"
#include "data/source.h"

namespace bobby::data {

/// Bytes of a file, from its beginning to its end.
class ByteStream {
 public:
  ByteStream() = default;
  virtual ~ByteStream() = default;
  ByteStream(const ByteStream&) = delete;
  ByteStream& operator=(const ByteStream&) = delete;

  /// Fills some of `into`, which is not empty; 0: the end. kIo, kMalformed (a packed file that does
  /// not unpack) or kLimit (a bomb); the caller names the file.
  virtual Result<std::size_t> read(std::span<char> into) = 0;
};

/// A file of the disk. kNotFound, kIo, or kUsage for a folder; the error names the file.
Result<std::unique_ptr<ByteStream>> open_file(const std::filesystem::path& path);

/// How far a source is in all of its files together.
class ReadProgress {
 public:
  /// `total` 0: unknown.
  ReadProgress(const ProgressFn& watcher, std::uint64_t total) : watcher_(watcher), total_(total) {}
  void add(std::uint64_t bytes);

 private:
  const ProgressFn& watcher_;
  std::uint64_t done_ = 0;
  std::uint64_t total_;
};

/// A stream that is hashed and counted as it is read.
class WatchedStream final : public ByteStream {
 public:
  WatchedStream(std::unique_ptr<ByteStream> stream, ReadProgress& progress)
      : stream_(std::move(stream)), progress_(progress) {}

  Result<std::size_t> read(std::span<char> into) override;
  /// What was read, once the end is reached. Call once.
  SourceFile finish(std::string name);

 private:
  std::unique_ptr<ByteStream> stream_;
  ReadProgress& progress_;
  Sha256 hash_;
  std::uint64_t bytes_ = 0;
};

/// kMalformed when `beginning`, the first bytes of a text, is UTF-16 or UTF-32; else how many of
/// them are a UTF-8 byte order mark (0 or 3).
Result<std::size_t> check_text_beginning(std::string_view beginning);

}  // namespace bobby::data
