#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "safetensors/error.h"
#include "safetensors/mapped_file.h"
#include "safetensors/tensor.h"

namespace safetensors {

/// The official cap on the header's length.
inline constexpr std::uint64_t kMaxHeaderBytes = 100'000'000;

/// What File::open and its kin forgive.
struct OpenOptions {
  /// Longest header to accept, in bytes; values above kMaxHeaderBytes mean kMaxHeaderBytes.
  std::uint64_t max_header_bytes = kMaxHeaderBytes;
  /// Accept bytes after the last tensor (some old checkpoints end with a few). Nothing else is
  /// forgiven.
  bool lenient = false;
};

/// An open safetensors file: its header in memory, its data mapped and not read until touched.
/// Move-only; tensors, names and data stay where they are when it moves. Const use is thread-safe.
///
/// What is accepted (format: github.com/safetensors/safetensors, README and src/tensor.rs): a
/// 64-bit little-endian header length N <= 100,000,000; N bytes of UTF-8 JSON, with whitespace
/// around it, holding one object; an optional `__metadata__` object of strings; for each tensor
/// exactly dtype, shape and data_offsets; tensors that fill the data section without hole or
/// overlap. Beyond the official reader, duplicate names and unknown keys are refused. Validation
/// is never skipped, so a File that exists is a valid file, and all its problems are in one Error.
class File {
 public:
  /// Maps and validates. Errors: kFileNotFound ... kTrailingBytes of ErrorCode, kOutOfMemory.
  static Result<File> open(const std::filesystem::path& path, const OpenOptions& options = {});
  /// The same over memory, which must outlive the File and its tensors. `label` names it in errors.
  static Result<File> from_bytes(std::span<const std::byte> bytes, const OpenOptions& options = {},
                                 std::string label = "<memory>");

  /// Path as given to open(), or the label.
  const std::string& name() const { return name_; }
  const Metadata& metadata() const { return metadata_; }

  /// Every tensor, by ascending data_offsets (empty tensors at one offset: by name).
  std::span<const Tensor> tensors() const { return tensors_; }
  /// Null when there is none of that name. O(log n).
  const Tensor* find(std::string_view tensor_name) const;
  /// As find(), with kTensorNotFound. Never null.
  Result<const Tensor*> get(std::string_view tensor_name) const;

  /// Bytes before the data section: 8 + header.
  std::uint64_t data_begin() const { return data_begin_; }
  /// Bytes after the last tensor that `lenient` let through.
  std::uint64_t stray_bytes() const { return stray_bytes_; }

  /// A paging hint for one tensor; no effect on a File over memory.
  void advise(const Tensor& tensor, Advice advice) const;

 private:
  File() = default;

  std::string name_;
  std::optional<MappedFile> mapping_;
  Metadata metadata_;
  std::vector<Tensor> tensors_;
  std::vector<std::uint32_t> by_name_;  // indices into tensors_, sorted by name
  std::uint64_t data_begin_ = 0;
  std::uint64_t stray_bytes_ = 0;

  friend class FileBuilder;
};

/// Every problem of one file, the header's and each tensor's; empty when it is valid. At most 100
/// are listed, with a last one that counts the rest.
std::vector<Error> check(const std::filesystem::path& path, const OpenOptions& options = {});

}  // namespace safetensors
