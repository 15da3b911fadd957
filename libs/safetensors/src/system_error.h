#pragma once

#include <cerrno>
#include <string>
#include <system_error>
#include <unistd.h>
#include <utility>

#include "safetensors/error.h"

namespace safetensors {

/// An open file descriptor, closed at the end of its scope.
class Descriptor {
 public:
  explicit Descriptor(int descriptor) : descriptor_(descriptor) {}
  Descriptor(Descriptor&& other) noexcept : descriptor_(std::exchange(other.descriptor_, -1)) {}
  Descriptor& operator=(Descriptor&&) = delete;
  ~Descriptor() {
    if (descriptor_ >= 0) ::close(descriptor_);
  }
  explicit operator bool() const { return descriptor_ >= 0; }
  int get() const { return descriptor_; }

 private:
  int descriptor_;
};

/// `number` of errno(3) as an Error of `file`.
inline Error system_error(int number, std::string file, std::string problem) {
  const ErrorCode code = number == ENOENT || number == ENOTDIR ? ErrorCode::kFileNotFound
                         : number == EACCES || number == EPERM ? ErrorCode::kPermissionDenied
                         : number == EISDIR                    ? ErrorCode::kNotAFile
                                                               : ErrorCode::kIo;
  problem += ": " + std::generic_category().message(number);
  return {.code = code, .file = std::move(file), .problem = std::move(problem)};
}

}  // namespace safetensors
