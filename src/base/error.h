#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace bobby {

/// Stable kinds of failure; the names are part of the contract (JSON output, logs), see
/// code_name().
enum class ErrorCode {
  kUsage,      ///< the caller asked for something that cannot be asked (wrong flag, wrong argument)
  kNotFound,   ///< a file, model, adapter or key is not there
  kIo,         ///< the operating system refused a read, write, map or rename
  kMalformed,  ///< bytes that are not what their format says (truncated, lying, hostile)
  kUnsupported,  ///< well formed, but nothing here implements it; the message names it
  kMismatch,     ///< two things that must agree do not (shape, dtype, digest, missing tensor)
  kLimit,        ///< a size, length, memory or time bound was met (prompt longer than the context)
  kNumeric,      ///< NaN or infinity where a number was needed
  kCancelled,    ///< the user stopped it
  kTimeout,      ///< a deadline passed
  kBusy,         ///< a queue is full; later there may be room
  kInternal,     ///< our own bug
};

/// The code's stable name, e.g. "malformed".
std::string_view code_name(ErrorCode code);

/// A user or file error, as a value. One failure is one sentence: where, what is wrong, what was
/// expected and what was found, and what to do about it. Exceptions do not cross a room's door.
struct Error {
  ErrorCode code = ErrorCode::kInternal;
  std::string where = {};     ///< file, tensor, key or flag: "config.json: key 'hidden_size'"
  std::string problem = {};   ///< "is not a positive integer"; a full clause when `where` is empty
  std::string expected = {};  ///< optional: "[4096, 512] uint32"
  std::string found = {};     ///< optional: "[4096, 511] uint32"
  std::string hint = {};      ///< optional: what to do, "re-download the file"

  /// Further problems of the same kind, found in the same pass (every bad tensor of an adapter).
  std::vector<Error> also = {};

  /// The sentence: "WHERE: PROBLEM: expected X, found Y; HINT", then one line for each of `also`.
  std::string to_string() const;

  /// This error with `context` put before `where` ("adapters/me: adapters.safetensors: ...").
  Error in(std::string_view context) &&;
};

/// Joins problems of one kind into one Error (the first, with the others in `also`).
/// Precondition: `errors` is not empty.
Error join_errors(std::vector<Error> errors);

}  // namespace bobby
