#pragma once

#include <cstdint>
#include <deque>
#include <filesystem>
#include <utility>

#include "base/progress.h"
#include "base/result.h"
#include "data/bluesky/byte_file.h"
#include "data/bluesky/cid.h"

namespace bobby::data {

/// The longest block that is read. AT Protocol's are a megabyte at most.
inline constexpr std::size_t kLongestBlock = std::size_t{1} << 21;

/// A CAR file, version 1: blocks in any order, each under its CID. Memory is 16 bytes a block and
/// one window of the file. Errors say at which byte, and leave the file's name to the caller.
class CarFile {
 public:
  /// Reads the file from end to end, checks each block against its CID and notes where it lies.
  /// kNotFound, kIo; kMalformed for bytes that are no CAR file; kMismatch for a
  /// block that is not what its CID says; kUnsupported for other versions and kinds of CID; kLimit
  /// for a block longer than kLongestBlock.
  static Result<CarFile> open(const std::filesystem::path& path, const ProgressFn& progress = {});

  /// The first root: of a repository, its commit.
  const Cid& root() const { return root_; }
  std::uint64_t size() const { return file_.size(); }
  std::uint64_t blocks() const { return entries_.size(); }

  /// The bytes of a block, checked against its CID once more; good until the next call. kNotFound
  /// when the file does not have it, kMismatch when the file has changed since.
  Result<Bytes> block(const Cid& cid);

 private:
  /// Where a block lies, found by the first bytes of its digest: an eighth of what a whole CID
  /// would take in memory matters more here than a comparison in the file.
  struct Entry {
    std::uint64_t key = 0;
    std::uint64_t offset = 0;  // of the length before its CID
  };
  /// An entry as it lies in the file.
  struct Section {
    Cid cid;
    Bytes content;
    std::uint64_t end = 0;
  };

  explicit CarFile(ByteFile file) : file_(std::move(file)) {}

  Result<std::uint64_t> read_header();
  Result<void> index_blocks(std::uint64_t offset, const ProgressFn& progress);
  Result<Section> section_at(std::uint64_t offset, std::size_t ahead);
  static std::uint64_t key_of(const Cid& cid);

  ByteFile file_;
  Cid root_;
  std::deque<Entry> entries_;  // by key, then offset; grows without a second copy of itself
};

}  // namespace bobby::data
