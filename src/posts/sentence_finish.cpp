#include "posts/sentence_finish.h"

#include "voice/sentences.h"

namespace bobby {
namespace {

// Added to logits where no room is left; at the window's beginning nothing is.
constexpr float kSentenceEnd = 8.0f;
// A sentence that has ended near the limit is a good place to stop, all the more as room shrinks.
constexpr float kEnd = 5.0f;
constexpr float kEndAtLimit = 9.0f;

void raise(std::span<const std::int32_t> tokens, float by, std::span<float> logits) {
  for (const std::int32_t token : tokens)
    if (static_cast<std::size_t>(token) < logits.size())
      logits[static_cast<std::size_t>(token)] += by;
}

}  // namespace

SentenceFinish::SentenceFinish(const Tokenizer& tokenizer) {
  for (std::int32_t id = 0; id < tokenizer.vocab_size(); ++id) {
    const auto bytes = tokenizer.token_bytes(id);
    // Dots that trail off end nothing.
    if (!bytes || tokenizer.is_special(id) || bytes->find("..") != std::string_view::npos) continue;
    if (ends_sentence(*bytes)) sentence_ends_.push_back(id);
  }
}

void SentenceFinish::apply(std::string_view text, std::int64_t room, std::int64_t limit,
                           std::span<const std::int32_t> ends, std::span<float> logits) const {
  const std::int64_t whole = std::max<std::int64_t>(window(limit), 1);
  const float near = 1.0f - static_cast<float>(std::clamp<std::int64_t>(room, 0, whole)) /
                                static_cast<float>(whole);
  if (ends_sentence(text))
    raise(ends, kEnd + (kEndAtLimit - kEnd) * near, logits);
  else
    raise(sentence_ends_, kSentenceEnd * near, logits);
}

}  // namespace bobby
