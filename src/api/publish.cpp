#include "api/publish.h"

#include <bobby/version.h>
#include <iterator>
#include <string_view>

#include "app/version.h"

namespace bobby {
namespace {

// In the order of v1::ErrorCode, whose first value is 1.
constexpr std::string_view kCodeNames[] = {"usage",       "not_found", "io",    "malformed",
                                           "unsupported", "mismatch",  "limit", "numeric",
                                           "cancelled",   "internal",  "busy",  "timeout"};
static_assert(std::size(kCodeNames) == static_cast<std::size_t>(v1::ErrorCode::kTimeout));

}  // namespace

namespace api {

v1::ErrorCode public_code(ErrorCode code) {
  const std::string_view name = code_name(code);
  for (std::size_t i = 0; i < std::size(kCodeNames); ++i)
    if (kCodeNames[i] == name) return static_cast<v1::ErrorCode>(i + 1);
  return v1::ErrorCode::kInternal;
}

v1::Error publish(const Error& error) {
  return {.code = public_code(error.code), .message = error.to_string()};
}

}  // namespace api

namespace v1 {

std::string_view code_name(ErrorCode code) {
  const auto index = static_cast<std::size_t>(code) - 1;
  return index < std::size(kCodeNames) ? kCodeNames[index] : "internal";
}

std::string_view version() {
  return kVersion;
}

}  // namespace v1
}  // namespace bobby
