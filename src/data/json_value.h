#pragma once

#include <cstdint>
#include <optional>
#include <simdjson.h>
#include <string>
#include <string_view>

#include "base/result.h"

namespace bobby::data {

/// Reads JSON objects one by one, in memory that is used again.
class JsonReader {
 public:
  /// Parses one object; `text` must have simdjson's padding behind it, and the result is valid
  /// until the next call. Halves of surrogate pairs, which texts that were cut end with, become
  /// U+FFFD. kMalformed says what is wrong, without a place.
  Result<simdjson::dom::element> parse(std::string_view text);

 private:
  simdjson::dom::parser parser_;
  std::string repaired_;
};

/// The element under a key; nullopt when there is none, or it is null.
std::optional<simdjson::dom::element> member(simdjson::dom::element object, std::string_view key);
/// A string, or an integer as text; "" for anything else.
std::string text_of(simdjson::dom::element object, std::string_view key);
/// An integer, or a string of digits; -1 for anything else.
std::int64_t count_of(simdjson::dom::element value);

}  // namespace bobby::data
