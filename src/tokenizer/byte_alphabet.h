#pragma once

#include <string>
#include <string_view>

namespace bobby::detail {

/// Byte-level tokens are written with one printable character for each byte (GPT-2's alphabet: most
/// of Latin-1 stands for itself, the other 68 bytes are U+0100..U+0143).
/// Appends the bytes that `token` (valid UTF-8) stands for. False, with `out` as it was, if a
/// character is outside the alphabet.
bool append_token_bytes(std::string_view token, std::string& out);

}  // namespace bobby::detail
