#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace bobby::detail {

/// Token ids ↔ the bytes they stand for. Ids may have gaps.
class Vocabulary {
 public:
  /// Largest id that a file may give: far above any vocabulary known, small enough for a table.
  static constexpr std::int32_t kMaxId = (1 << 22) - 1;

  enum class Added { kYes, kTokenTwice, kIdTwice };

  /// Room for `tokens` tokens without growing.
  void reserve(std::size_t tokens, std::size_t bytes);
  /// `token` as the file writes it: in the byte alphabet, or, if a character is outside of it, as
  /// plain text. 0 <= id <= kMaxId.
  Added add(std::string_view token, std::int32_t id);

  /// The token that stands for exactly these bytes (plain-text tokens apart), or -1.
  std::int32_t find_bytes(std::string_view bytes) const;
  /// The token that the file writes like this.
  std::optional<std::int32_t> find(std::string_view token) const;

  bool contains(std::int32_t id) const {
    return id >= 0 && static_cast<std::size_t>(id) < spans_.size() && spans_[index(id)].length >= 0;
  }
  /// Precondition: contains(id).
  std::string_view bytes(std::int32_t id) const {
    const Span span = spans_[index(id)];
    return {arena_.data() + span.begin, static_cast<std::size_t>(span.length)};
  }
  /// Number of tokens.
  std::size_t size() const { return count_; }
  /// One more than the largest id.
  std::int64_t id_end() const { return static_cast<std::int64_t>(spans_.size()); }

 private:
  struct Span {
    std::uint32_t begin = 0;
    std::int32_t length = -1;  ///< -1: no such token
  };
  struct Slot {
    std::uint32_t tag = 0;
    std::int32_t id = -1;
  };
  static std::size_t index(std::int32_t id) { return static_cast<std::size_t>(id); }
  void grow_slots(std::size_t tokens);
  const Slot* find_slot(std::string_view bytes, std::uint64_t hash) const;

  std::string arena_;
  std::vector<Span> spans_;                              ///< by id
  std::vector<Slot> slots_;                              ///< open addressing, a power of two
  std::unordered_map<std::string, std::int32_t> plain_;  ///< tokens outside the byte alphabet
  std::size_t in_slots_ = 0;
  std::size_t count_ = 0;
};

}  // namespace bobby::detail
