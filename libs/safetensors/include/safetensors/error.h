#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <utility>
#include <vector>

namespace safetensors {

/// Stable kinds of failure. In brackets: the official reader's name for the same thing.
enum class ErrorCode : std::uint8_t {
  // The file itself.
  kFileNotFound,      ///< no such file or folder
  kPermissionDenied,  ///< the operating system refuses access
  kNotAFile,          ///< a directory, pipe or device
  kIo,                ///< any other refusal of the operating system (read, map, write, rename)
  // The header.
  kFileTooSmall,     ///< under 8 bytes, the header's length field [HeaderTooSmall]
  kHeaderTooLarge,   ///< header longer than the limit [HeaderTooLarge]
  kHeaderTruncated,  ///< the file ends inside the header [InvalidHeaderLength]
  kHeaderNotUtf8,    ///< [InvalidHeader]
  kHeaderNotJson,    ///< [InvalidHeaderDeserialization]
  kHeaderInvalid,    ///< JSON, but not of the format's form (missing key, wrong type, float offset)
  kUnknownKey,       ///< a tensor entry has a key besides dtype, shape, data_offsets
  kDuplicateKey,     ///< a tensor name or key stands twice in its object
  kUnknownDType,     ///< a dtype the format has not
  // A tensor and the data section.
  kOverflow,       ///< a size exceeds 64 bits [ValidationOverflow]
  kSubByte,        ///< a tensor of a sub-byte dtype does not end on a byte [MisalignedSlice]
  kSizeMismatch,   ///< data_offsets and dtype x shape disagree [TensorInvalidInfo]
  kOffsets,        ///< hole, overlap or reversed offsets [InvalidOffset]
  kDataTruncated,  ///< the file ends before the data [MetadataIncompleteBuffer]
  kTrailingBytes,  ///< bytes after the data [MetadataIncompleteBuffer]
  // What was asked.
  kTensorNotFound,   ///< no tensor of that name
  kDTypeMismatch,    ///< a typed view of another dtype
  kIndexMismatch,    ///< a sharded index and its shards disagree
  kInvalidArgument,  ///< the writer was given something it cannot write (wrong size, name twice)
  kOutOfMemory,
};

/// The code's stable name, e.g. "size_mismatch".
std::string_view code_name(ErrorCode code);

/// What failed, as a value. Nothing in this library throws across its interface.
struct Error {
  ErrorCode code = ErrorCode::kIo;
  std::string file = {};      ///< path as given, or the label of a buffer; may be empty
  std::string tensor = {};    ///< tensor name, unescaped as in the file; may be empty
  std::string problem = {};   ///< "data_offsets do not match dtype and shape"
  std::string expected = {};  ///< optional: "64 bytes for F32 [4, 4]"
  std::string found = {};     ///< optional: "[0, 60], 60 bytes"

  /// Further problems found in the same pass (every bad tensor of a header).
  std::vector<Error> also = {};

  /// "FILE: tensor 'NAME'", or the one of the two that is set. Control characters are escaped and
  /// long names cut, so that a hostile file cannot write to the terminal.
  std::string where() const;
  /// "WHERE: PROBLEM: expected X, found Y", then one line for each of `also`.
  std::string to_string() const;
};

/// A value or an Error.
template <typename T>
using Result = tl::expected<T, Error>;

/// What a function that returns a Result returns on failure: `return fail(error);`
inline tl::unexpected<Error> fail(Error error) {
  return tl::unexpected<Error>(std::move(error));
}

}  // namespace safetensors
