#include "data/bluesky/byte_reader.h"

namespace bobby::data {

std::optional<std::uint8_t> ByteReader::byte() {
  if (left() == 0) return std::nullopt;
  return static_cast<std::uint8_t>(bytes_[position_++]);
}

std::optional<Bytes> ByteReader::take(std::uint64_t count) {
  if (count > left()) return std::nullopt;
  const Bytes taken = bytes_.subspan(position_, static_cast<std::size_t>(count));
  position_ += taken.size();
  return taken;
}

std::optional<std::uint64_t> ByteReader::varint() {
  constexpr int kMostBytes = 9;
  std::uint64_t value = 0;
  for (int i = 0; i < kMostBytes; ++i) {
    const auto next = byte();
    if (!next) return std::nullopt;
    value |= std::uint64_t{*next & 0x7fU} << (7 * i);
    if ((*next & 0x80U) != 0) continue;
    if (*next == 0 && i > 0) return std::nullopt;
    return value;
  }
  return std::nullopt;
}

std::optional<std::uint64_t> ByteReader::big_endian(std::size_t width) {
  const auto bytes = take(width);
  if (!bytes) return std::nullopt;
  std::uint64_t value = 0;
  for (const std::byte byte : *bytes) value = value << 8 | static_cast<std::uint8_t>(byte);
  return value;
}

}  // namespace bobby::data
