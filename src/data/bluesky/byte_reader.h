#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

namespace bobby::data {

using Bytes = std::span<const std::byte>;

/// Walks over bytes that may be hostile: nothing is read past their end.
class ByteReader {
 public:
  explicit ByteReader(Bytes bytes) : bytes_(bytes) {}

  std::size_t position() const { return position_; }
  std::size_t left() const { return bytes_.size() - position_; }

  /// The next byte; nothing at the end.
  std::optional<std::uint8_t> byte();
  /// The next `count` bytes; nothing when there are fewer.
  std::optional<Bytes> take(std::uint64_t count);
  /// An unsigned LEB128 number as multiformats has it: at most nine bytes (63 bits), and none that
  /// adds nothing. Nothing when it is cut off or written otherwise.
  std::optional<std::uint64_t> varint();
  /// A big-endian number of `width` bytes (at most 8).
  std::optional<std::uint64_t> big_endian(std::size_t width);

 private:
  Bytes bytes_;
  std::size_t position_ = 0;
};

}  // namespace bobby::data
