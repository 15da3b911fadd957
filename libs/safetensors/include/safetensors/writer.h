#pragma once

#include <cstddef>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "safetensors/error.h"
#include "safetensors/tensor.h"

namespace safetensors {

/// How a file is written.
struct WriteOptions {
  bool owner_only = false;  ///< readable and writable by its owner alone: mode 0600
  /// For files that are large beside the memory: what is appended goes to the disk at once and is
  /// then dropped from the system's cache, so that neither fills up. Without effect where the
  /// system has no calls for it.
  bool write_behind = false;
};

/// Writes a file tensor by tensor, with no more in memory than the caller's chunks.
///
/// The bytes go to a temporary file in the target's folder, which finish() syncs and renames over
/// the target: readers see the old file or the new one, whole, and a process that has the old one
/// mapped keeps it. A Writer destroyed without finish() leaves nothing behind.
///
/// Layout: a function of the declared tensors and the metadata alone. Tensors are ordered by dtype
/// (widest alignment first) then name, as by the official writer; the header is padded with spaces
/// so that data starts at a multiple of 64 bytes. So every tensor is naturally aligned in the file.
class Writer {
 public:
  /// Declares all tensors and writes the header. Errors: kInvalidArgument (a name twice or
  /// `__metadata__`, a name or metadata that is not UTF-8), kOverflow, kSubByte, kHeaderTooLarge
  /// (over 100,000,000 bytes: nobody could read it), kNotAFile (the target is no regular file),
  /// kFileNotFound (no such folder), kPermissionDenied, kIo.
  static Result<Writer> create(const std::filesystem::path& path, std::vector<TensorInfo> tensors,
                               const Metadata& metadata = {}, const WriteOptions& options = {});

  Writer(Writer&& other) noexcept;
  Writer& operator=(Writer&& other) noexcept;
  ~Writer();

  /// Appends `chunk` to the data of tensor `name`. Tensors may be filled in any order and by turns;
  /// the bytes of each arrive front to back. kTensorNotFound; kSizeMismatch when there would be
  /// more than declared (nothing is written then); kIo, after which finish() fails too.
  Result<void> append(std::string_view name, std::span<const std::byte> chunk);

  /// Syncs the file, renames it over the target and syncs the folder. kSizeMismatch, naming every
  /// tensor whose data is not complete; kIo. The temporary file is gone after any failure.
  Result<void> finish();

 private:
  struct State;
  explicit Writer(std::unique_ptr<State> state);

  std::unique_ptr<State> state_;
};

/// A tensor with its data: as many bytes as dtype and shape say.
struct TensorData : TensorInfo {
  std::span<const std::byte> data;
};

/// Writer in one call. Errors as there; kSizeMismatch when data and shape disagree.
Result<void> write_file(const std::filesystem::path& path, std::span<const TensorData> tensors,
                        const Metadata& metadata = {});

}  // namespace safetensors
