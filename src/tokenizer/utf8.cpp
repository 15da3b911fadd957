#include "tokenizer/utf8.h"

namespace bobby::detail {

Utf8Step utf8_front(std::string_view bytes) {
  const auto byte = [bytes](std::size_t i) { return static_cast<unsigned char>(bytes[i]); };
  const unsigned lead = byte(0);
  if (lead < 0x80) return {Utf8Front::kCodePoint, 1};
  if (lead < 0xC2 || lead > 0xF4) return {Utf8Front::kInvalid, 1};
  const std::size_t length = lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
  // The second byte's range excludes overlong forms, surrogates and values past U+10FFFF.
  const unsigned low = lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : 0x80;
  const unsigned high = lead == 0xED ? 0x9F : lead == 0xF4 ? 0x8F : 0xBF;
  for (std::size_t i = 1; i < length; ++i) {
    if (i == bytes.size()) return {Utf8Front::kIncomplete, i};
    const unsigned next = byte(i);
    if (next < (i == 1 ? low : 0x80) || next > (i == 1 ? high : 0xBF))
      return {Utf8Front::kInvalid, i};
  }
  return {Utf8Front::kCodePoint, length};
}

std::size_t append_valid_utf8(std::string_view bytes, bool at_end, std::string& out) {
  std::size_t at = 0;
  while (at < bytes.size()) {
    const Utf8Step step = utf8_front(bytes.substr(at));
    if (step.front == Utf8Front::kIncomplete && !at_end) break;
    if (step.front == Utf8Front::kCodePoint)
      out.append(bytes, at, step.length);
    else
      out.append("\xEF\xBF\xBD");
    at += step.length;
  }
  return at;
}

}  // namespace bobby::detail
