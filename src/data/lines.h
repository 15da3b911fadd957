#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "data/byte_stream.h"

namespace bobby::data {

/// Lines of a UTF-8 text, one at a time, however long the text is.
class LineReader {
 public:
  /// No line may have more than `limit` bytes.
  LineReader(ByteStream& stream, std::size_t limit) : stream_(stream), limit_(limit) {}

  /// The next line without its end ("\n" or "\r\n"), valid until the next call; nullopt: the end.
  /// kLimit for a line that is too long, kMalformed for one that is not UTF-8: "line 7: ...".
  Result<std::optional<std::string_view>> next();

  /// The number of the line that next() gave, from 1.
  std::uint64_t number() const { return number_; }
  /// "line 7"
  std::string place() const { return "line " + std::to_string(number_); }

 private:
  Result<void> fill();

  ByteStream& stream_;
  std::size_t limit_;
  std::uint64_t number_ = 0;
  std::string buffer_;
  std::size_t begin_ = 0;
  bool started_ = false;
  bool ended_ = false;
};

}  // namespace bobby::data
