#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace bobby {

/// What makes a model's answer a post. Lengths are in graphemes (UAX #29).
struct PostRules {
  std::vector<std::string> stops = {"<|im_end|>", "<|im_start|>", "<|endoftext|>", "<|eot_id|>"};
  bool remove_emojis = true;
  bool remove_hashtags = true;
  std::int64_t char_limit = 300;  ///< 0: none
  std::int64_t min_chars = 20;

  bool operator==(const PostRules&) const = default;
};

/// Where a post longer than char_limit was cut.
enum class PostCut : std::uint8_t { kNone, kSentence, kWord, kGrapheme };

/// A cleaned post and what was taken out of it.
struct CleanPost {
  std::string text;  ///< valid UTF-8
  std::int64_t graphemes = 0;
  int removed_emojis = 0;
  int removed_hashtags = 0;
  bool removed_thinking = false;
  bool trimmed_quotes = false;
  PostCut cut = PostCut::kNone;
  bool too_short = false;  ///< fewer graphemes than min_chars, or none
};

/// The answer as a post: invalid UTF-8 becomes U+FFFD; then cut at the first stop; think blocks,
/// emojis and hashtags removed; whitespace collapsed, quotes around the whole trimmed; cut to
/// char_limit at the last sentence end past 50 graphemes, else at the last word, with "...".
/// Pure, and idempotent: cleaning a clean post changes nothing.
///  - Emoji: a grapheme that is shown as a picture (flags, keycaps, ZWJ sequences whole). Signs
///    that are text unless U+FE0F asks otherwise ((c), TM, arrows) stay, and so do digits.
///  - Hashtag: '#' not preceded by a letter, number, '_', '&' or '/', then letters, marks, numbers
///    and '_' (hyphens and apostrophes between them) with at least one that is no number.
///    "#1", "C#" and "page/#top" stay.
///  - A </think> without its beginning ends a block that began in the prompt.
CleanPost clean_post(std::string_view answer, const PostRules& rules);

}  // namespace bobby
