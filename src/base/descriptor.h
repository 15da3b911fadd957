#pragma once

#include <unistd.h>
#include <utility>

namespace bobby {

/// A file descriptor of the system's, closed at the end; below 0: none.
class Descriptor {
 public:
  explicit Descriptor(int value) : value_(value) {}
  ~Descriptor() {
    if (value_ >= 0) ::close(value_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;

  int value() const { return value_; }
  /// The descriptor, which is the caller's to close from now on.
  int release() { return std::exchange(value_, -1); }

 private:
  int value_;
};

}  // namespace bobby
