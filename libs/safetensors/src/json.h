#pragma once

#include <cstdint>
#include <optional>
#include <simdjson.h>
#include <string_view>

#include "safetensors/error.h"

namespace safetensors {

/// Parses `text`, which must hold one JSON object. The document lives in `parser`. Errors:
/// kHeaderNotUtf8, kHeaderNotJson (also for a number beyond 64 bits or nesting beyond 1024),
/// kHeaderInvalid when it is another value, kOutOfMemory; without a file name.
Result<simdjson::dom::object> parse_object(simdjson::dom::parser& parser, std::string_view text);

/// "a string", "an object", ...: what `element` is, for messages.
std::string_view kind(simdjson::dom::element element);

/// The string, if `element` is one and it is UTF-8 (a lone \u escape of a surrogate is not).
std::optional<std::string_view> as_string(simdjson::dom::element element);

/// The number, if `element` is a whole one from 0 to 2^64 - 1 written without fraction or exponent.
std::optional<std::uint64_t> as_unsigned(simdjson::dom::element element);

/// `text` as a JSON string, with its quotes. Precondition: is_utf8(text).
void append_json_string(std::string& out, std::string_view text);

}  // namespace safetensors
