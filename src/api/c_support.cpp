#include "api/c_support.h"

#include <bobby/version.h>
#include <cstdlib>

namespace bobby::api {

char* copy_string(std::string_view text) noexcept {
  auto* copy = static_cast<char*>(std::malloc(text.size() + 1));
  if (copy == nullptr) return nullptr;
  std::memcpy(copy, text.data(), text.size());
  copy[text.size()] = '\0';
  return copy;
}

bobby_status report(v1::ErrorCode code, std::string_view text, char** message) noexcept {
  if (message != nullptr) *message = copy_string(text);
  return static_cast<bobby_status>(code);
}

bobby_status report(const v1::Error& error, char** message) noexcept {
  return report(error.code, error.message, message);
}

v1::Result<void> check_arguments(std::initializer_list<Argument> arguments) {
  for (const Argument& argument : arguments)
    if (argument.pointer == nullptr)
      return v1::Error{v1::ErrorCode::kUsage, std::string(argument.name) + " is NULL"};
  return {};
}

v1::Result<void> check_size(std::string_view name, std::size_t size, std::size_t first,
                            std::size_t known) {
  if (size >= first && size <= known) return {};
  const std::string what = std::string(name) + ": size is " + std::to_string(size);
  return v1::Error{v1::ErrorCode::kUsage,
                   size > known ? what + ", more than the " + std::to_string(known) +
                                      " bytes that this library knows: it is older than its caller"
                                : what + ": expected sizeof the struct, " + std::to_string(known) +
                                      ", which its init function sets"};
}

}  // namespace bobby::api

extern "C" {

const char* bobby_version(void) {
  return bobby::v1::version().data();
}

const char* bobby_status_name(bobby_status status) {
  return status == BOBBY_OK
             ? "ok"
             : bobby::v1::code_name(static_cast<bobby::v1::ErrorCode>(status)).data();
}

void bobby_string_free(char* string) {
  std::free(string);
}

}  // extern "C"
