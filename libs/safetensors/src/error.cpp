#include "safetensors/error.h"

#include "text.h"

namespace safetensors {

std::string_view code_name(ErrorCode code) {
  switch (code) {
    case ErrorCode::kFileNotFound: return "file_not_found";
    case ErrorCode::kPermissionDenied: return "permission_denied";
    case ErrorCode::kNotAFile: return "not_a_file";
    case ErrorCode::kIo: return "io";
    case ErrorCode::kFileTooSmall: return "file_too_small";
    case ErrorCode::kHeaderTooLarge: return "header_too_large";
    case ErrorCode::kHeaderTruncated: return "header_truncated";
    case ErrorCode::kHeaderNotUtf8: return "header_not_utf8";
    case ErrorCode::kHeaderNotJson: return "header_not_json";
    case ErrorCode::kHeaderInvalid: return "header_invalid";
    case ErrorCode::kUnknownKey: return "unknown_key";
    case ErrorCode::kDuplicateKey: return "duplicate_key";
    case ErrorCode::kUnknownDType: return "unknown_dtype";
    case ErrorCode::kOverflow: return "overflow";
    case ErrorCode::kSubByte: return "sub_byte";
    case ErrorCode::kSizeMismatch: return "size_mismatch";
    case ErrorCode::kOffsets: return "offsets";
    case ErrorCode::kDataTruncated: return "data_truncated";
    case ErrorCode::kTrailingBytes: return "trailing_bytes";
    case ErrorCode::kTensorNotFound: return "tensor_not_found";
    case ErrorCode::kDTypeMismatch: return "dtype_mismatch";
    case ErrorCode::kIndexMismatch: return "index_mismatch";
    case ErrorCode::kInvalidArgument: return "invalid_argument";
    case ErrorCode::kOutOfMemory: return "out_of_memory";
  }
  return "unknown";
}

std::string Error::where() const {
  std::string text = printable(file, 4096);
  if (tensor.empty()) return text;
  if (!text.empty()) text.append(": ");
  return text.append("tensor '").append(printable(tensor)).append("'");
}

std::string Error::to_string() const {
  std::string text = where();
  if (!text.empty()) text.append(": ");
  text.append(problem);
  if (!expected.empty()) text.append(": expected ").append(expected);
  if (!found.empty()) text.append(expected.empty() ? ": found " : ", found ").append(found);
  for (const Error& other : also) text.append("\n").append(other.to_string());
  return text;
}

}  // namespace safetensors
