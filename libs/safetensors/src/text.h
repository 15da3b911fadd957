#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace safetensors {

/// Whether `text` is well-formed UTF-8: no overlong form, no surrogate, nothing past U+10FFFF.
bool is_utf8(std::string_view text);

/// `text` fit to be shown: control characters and bytes that are not UTF-8 escaped, cut after about
/// `limit` bytes.
std::string printable(std::string_view text, std::size_t limit = 200);

}  // namespace safetensors
