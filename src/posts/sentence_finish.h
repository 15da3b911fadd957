#pragma once

#include <algorithm>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "tokenizer/tokenizer.h"

namespace bobby {

/// Leads a text to the end of a sentence as it nears a limit, and to its own end once a sentence
/// has ended there: tokens that end a sentence, or the text, become likelier the less room is left.
/// What the model finds impossible stays so.
class SentenceFinish {
 public:
  /// How many graphemes before `limit` it begins: a hundred, of a short text the last third.
  static constexpr std::int64_t window(std::int64_t limit) {
    return std::min<std::int64_t>(100, limit / 3);
  }

  /// Reads the whole vocabulary: make one for a model, and keep it.
  explicit SentenceFinish(const Tokenizer& tokenizer);

  /// `room`: graphemes left before `limit`, below window(limit); negative past it. `ends`: tokens
  /// that end a text. logits: [vocab_size].
  void apply(std::string_view text, std::int64_t room, std::int64_t limit,
             std::span<const std::int32_t> ends, std::span<float> logits) const;

 private:
  std::vector<std::int32_t> sentence_ends_;
};

}  // namespace bobby
