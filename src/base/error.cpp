#include "base/error.h"

#include <utility>

namespace bobby {

std::string_view code_name(ErrorCode code) {
  switch (code) {
    case ErrorCode::kUsage: return "usage";
    case ErrorCode::kNotFound: return "not_found";
    case ErrorCode::kIo: return "io";
    case ErrorCode::kMalformed: return "malformed";
    case ErrorCode::kUnsupported: return "unsupported";
    case ErrorCode::kMismatch: return "mismatch";
    case ErrorCode::kLimit: return "limit";
    case ErrorCode::kNumeric: return "numeric";
    case ErrorCode::kCancelled: return "cancelled";
    case ErrorCode::kTimeout: return "timeout";
    case ErrorCode::kBusy: return "busy";
    case ErrorCode::kInternal: return "internal";
  }
  return "internal";
}

std::string Error::to_string() const {
  std::string text;
  if (!where.empty()) text += where + ": ";
  text += problem;
  if (!expected.empty()) text += ": expected " + expected;
  if (!found.empty()) text += (expected.empty() ? ": found " : ", found ") + found;
  if (!hint.empty()) text += "; " + hint;
  for (const Error& other : also) text += "\n  " + other.to_string();
  return text;
}

Error Error::in(std::string_view context) && {
  where = where.empty() ? std::string(context) : std::string(context) + ": " + where;
  return std::move(*this);
}

Error join_errors(std::vector<Error> errors) {
  Error first = std::move(errors.front());
  for (auto it = errors.begin() + 1; it != errors.end(); ++it) first.also.push_back(std::move(*it));
  return first;
}

}  // namespace bobby
