#include "tokenizer/byte_alphabet.h"

#include <array>
#include <cstdint>

#include "tokenizer/utf8.h"

namespace bobby::detail {
namespace {

constexpr std::size_t kAlphabetEnd = 0x144;

constexpr bool stands_for_itself(unsigned byte) {
  return (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte != 0xAD);
}

/// Code point → byte, or -1.
constexpr std::array<std::int16_t, kAlphabetEnd> make_alphabet() {
  std::array<std::int16_t, kAlphabetEnd> byte_of{};
  byte_of.fill(-1);
  std::size_t stand_in = 0x100;
  for (unsigned byte = 0; byte < 0x100; ++byte)
    byte_of[stands_for_itself(byte) ? byte : stand_in++] = static_cast<std::int16_t>(byte);
  return byte_of;
}
constexpr auto kByteOf = make_alphabet();

}  // namespace

bool append_token_bytes(std::string_view token, std::string& out) {
  const std::size_t before = out.size();
  for (std::size_t at = 0; at < token.size();) {
    const CodePoint c = decode_utf8(token.data() + at);
    if (c.value >= kAlphabetEnd || kByteOf[c.value] < 0) {
      out.resize(before);
      return false;
    }
    out.push_back(static_cast<char>(kByteOf[c.value]));
    at += c.length;
  }
  return true;
}

}  // namespace bobby::detail
