#include "json.h"

#include "text.h"

namespace safetensors {
namespace dom = simdjson::dom;
namespace {

Error json_error(simdjson::error_code code) {
  switch (code) {
    case simdjson::MEMALLOC:
      return {.code = ErrorCode::kOutOfMemory, .problem = "out of memory for the JSON text"};
    case simdjson::NUMBER_ERROR:
      return {.code = ErrorCode::kHeaderNotJson,
              .problem = "a number of the JSON text is malformed or exceeds 64 bits"};
    default:
      return {.code = ErrorCode::kHeaderNotJson,
              .problem = "the text is not JSON",
              .found = simdjson::error_message(code)};
  }
}

}  // namespace

Result<dom::object> parse_object(dom::parser& parser, std::string_view text) {
  if (!is_utf8(text))
    return fail({.code = ErrorCode::kHeaderNotUtf8, .problem = "the JSON text is not UTF-8"});
  if (text.empty())  // and perhaps no address, which the parser would copy from
    return fail({.code = ErrorCode::kHeaderNotJson, .problem = "the JSON text is empty"});
  // Some versions of the parser skip a byte order mark; JSON has none.
  if (text.starts_with("\xef\xbb\xbf"))
    return fail({.code = ErrorCode::kHeaderNotJson,
                 .problem = "the JSON text starts with a byte order mark"});
  dom::element root;
  if (const auto code = parser.parse(text.data(), text.size()).get(root))
    return fail(json_error(code));
  dom::object object;
  if (root.get(object))
    return fail({.code = ErrorCode::kHeaderInvalid,
                 .problem = "the JSON text is not an object",
                 .found = std::string(kind(root))});
  return object;
}

std::string_view kind(dom::element element) {
  switch (element.type()) {
    case dom::element_type::ARRAY: return "an array";
    case dom::element_type::OBJECT: return "an object";
    case dom::element_type::INT64:
    case dom::element_type::UINT64: return "an integer";
    case dom::element_type::DOUBLE: return "a number with fraction or exponent";
    case dom::element_type::STRING: return "a string";
    case dom::element_type::BOOL: return "a boolean";
    case dom::element_type::NULL_VALUE: return "null";
  }
  return "something else";
}

std::optional<std::string_view> as_string(dom::element element) {
  std::string_view text;
  if (element.get(text) || !is_utf8(text)) return std::nullopt;
  return text;
}

std::optional<std::uint64_t> as_unsigned(dom::element element) {
  std::uint64_t value = 0;
  if (!element.is<std::uint64_t>() || element.get(value)) return std::nullopt;
  return value;
}

void append_json_string(std::string& out, std::string_view text) {
  constexpr std::string_view kHex = "0123456789abcdef";
  out += '"';
  for (const char c : text) {
    const auto byte = static_cast<std::uint8_t>(c);
    if (c == '"' || c == '\\') {
      out += {'\\', c};
    } else if (byte < 0x20) {
      out += {'\\', 'u', '0', '0', kHex[byte >> 4], kHex[byte & 15]};
    } else {
      out += c;
    }
  }
  out += '"';
}

}  // namespace safetensors
