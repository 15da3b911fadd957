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

  /// Room for `tokens` tokens without growing.
  void reserve(std::size_t tokens, std::size_t bytes);
  /// `token` as the file writes it: in the byte alphabet, or, if a character is outside of it, as
  /// plain text. 0 <= id <= kMaxId. False if the id is another token's.
  bool add(std::string_view token, std::int32_t id);
  /// To be called after the last add(), before any find. The id of a token that has another id too
  /// (an error), or -1.
  std::int32_t index();

  /// The token that stands for exactly these bytes (plain-text tokens apart), or -1.
  std::int32_t find_bytes(std::string_view bytes) const;
  /// The same, where `guess` is likely the answer.
  std::int32_t find_bytes(std::string_view bytes, std::int32_t guess) const;
  /// Has find_bytes(bytes) ready sooner, if there is other work in between.
  void prefetch(std::string_view bytes) const;
  /// The token that the file writes like this.
  std::optional<std::int32_t> find(std::string_view token) const;

  bool contains(std::int32_t id) const {
    return id >= 0 && static_cast<std::size_t>(id) < spans_.size() && span(id).is_token;
  }
  /// Precondition: contains(id).
  std::string_view bytes(std::int32_t id) const {
    return {arena_.data() + span(id).begin, span(id).length};
  }
  /// Number of tokens.
  std::size_t size() const { return count_; }
  /// One more than the largest id.
  std::int64_t id_end() const { return static_cast<std::int64_t>(spans_.size()); }

 private:
  struct Span {
    std::uint32_t begin = 0;
    std::uint32_t length : 30 = 0;
    bool is_token : 1 = false;
    bool is_plain : 1 = false;  ///< outside the byte alphabet
  };
  struct Slot {
    std::uint64_t key = 0;  ///< up to 8 bytes: the bytes themselves, else their hash
    std::uint32_t length = 0;
    std::int32_t id = -1;
  };
  const Span& span(std::int32_t id) const { return spans_[static_cast<std::size_t>(id)]; }
  std::size_t first_slot(std::uint64_t key) const;
  std::size_t find_slot(std::string_view bytes, std::uint64_t key) const;

  std::string arena_;
  std::vector<Span> spans_;                              ///< by id
  std::vector<Slot> slots_;                              ///< open addressing, a power of two
  std::unordered_map<std::string, std::int32_t> plain_;  ///< tokens outside the byte alphabet
  std::size_t count_ = 0;
};

}  // namespace bobby::detail
