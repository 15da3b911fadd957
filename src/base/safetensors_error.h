#pragma once

// Header-only, so that `base` needs the safetensors library only where a room reads its files.

#include <utility>

#include "base/error.h"
#include "safetensors/error.h"

namespace bobby {

/// Our stable code for a failure of the safetensors library.
inline ErrorCode to_code(safetensors::ErrorCode code) {
  switch (code) {
    case safetensors::ErrorCode::kFileNotFound:
    case safetensors::ErrorCode::kTensorNotFound: return ErrorCode::kNotFound;
    case safetensors::ErrorCode::kPermissionDenied:
    case safetensors::ErrorCode::kNotAFile:
    case safetensors::ErrorCode::kIo: return ErrorCode::kIo;
    case safetensors::ErrorCode::kDTypeMismatch:
    case safetensors::ErrorCode::kIndexMismatch: return ErrorCode::kMismatch;
    case safetensors::ErrorCode::kInvalidArgument: return ErrorCode::kUsage;
    case safetensors::ErrorCode::kOutOfMemory: return ErrorCode::kLimit;
    default: return ErrorCode::kMalformed;
  }
}

/// An error of the safetensors library as one of ours: the same sentence, our code.
inline Error to_error(safetensors::Error error) {
  Error ours{.code = to_code(error.code),
             .where = error.where(),
             .problem = std::move(error.problem),
             .expected = std::move(error.expected),
             .found = std::move(error.found)};
  for (safetensors::Error& other : error.also) ours.also.push_back(to_error(std::move(other)));
  return ours;
}

}  // namespace bobby
