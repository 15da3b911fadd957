#pragma once

#include <string_view>

namespace bobby::detail {

/// Receives pieces of text in order. A piece is valid until the call returns.
class PieceSink {
 public:
  virtual void piece(std::string_view text) = 0;

 protected:
  ~PieceSink() = default;
};

}  // namespace bobby::detail
