#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "data/byte_stream.h"

namespace bobby::data {

/// The objects of a JavaScript file that assigns one array, `window.YTD.tweets.part0 = [ {...}, ...
/// ]`, one at a time, however long the array is. What stands in an object is its reader's.
class JsArrayReader {
 public:
  explicit JsArrayReader(ByteStream& stream) : stream_(stream) {}

  /// The name that is assigned to, without "window.": "YTD.tweets.part0"; empty when the file is
  /// the array alone. Call first. kMalformed.
  Result<std::string> begin();

  /// The bytes of the next object, with room for simdjson's padding behind them, valid until the
  /// next call; nullopt: the end, behind which nothing but ";" stands. kMalformed for a file that
  /// ends early or has something else between objects, kLimit for an object that is too long or
  /// nested too deep: "entry 7 (byte 1234): ...".
  Result<std::optional<std::string_view>> next();

  /// How many objects next() gave.
  std::uint64_t count() const { return count_; }
  /// "entry 7 (byte 1234)": the object that next() gave last, or was about to.
  std::string place() const;

 private:
  Result<bool> fill();                           // false: the end
  Result<std::optional<char>> next_character();  // past white space
  Result<void> take_object();
  Result<void> check_end();
  tl::unexpected<Error> malformed(std::string problem, std::string found = {}) const;

  ByteStream& stream_;
  std::string block_;
  std::size_t at_ = 0;
  std::uint64_t block_begin_ = 0;  // of the block in the file
  std::uint64_t object_begin_ = 0;
  std::uint64_t count_ = 0;
  std::string object_;
  bool started_ = false;
  bool ended_ = false;
};

}  // namespace bobby::data
