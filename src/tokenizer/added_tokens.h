#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace bobby::detail {

/// A token that is found in the text before anything else is done to it.
struct AddedToken {
  std::int32_t id = -1;
  std::string content = {};
  bool single_word = false;  ///< not if a word character (\w) stands on either side
  bool lstrip = false;       ///< takes the white space before it along
  bool rstrip = false;       ///< ... and after it
  bool normalized = true;    ///< is looked for, in its normalized form, in the normalized text
  bool special = false;      ///< left out by decode(skip_special)
};

/// Finds added tokens in text: the leftmost, of these the longest, and on from its end.
/// Immutable and thread-safe.
class AddedTokenMatcher {
 public:
  /// `pattern`: what to look for, not empty.
  void add(const AddedToken& token, std::string pattern);
  /// To be called after the last add(). A pattern that two tokens have (an error), or null.
  const std::string* seal();

  /// A stretch of text, or the added token that was found there.
  struct Span {
    std::string_view text;
    std::int32_t id;  ///< -1: text
  };
  /// `text` (valid UTF-8) cut at the added tokens.
  std::vector<Span> split(std::string_view text) const;

 private:
  struct Entry {
    std::string pattern;
    std::int32_t id;
    bool single_word, lstrip, rstrip;
  };
  /// The longest entry that `text` begins with, or null.
  const Entry* longest_prefix_of(std::string_view text) const;

  std::vector<Entry> entries_;  ///< by pattern
  bool is_first_byte_[256] = {};
};

}  // namespace bobby::detail
