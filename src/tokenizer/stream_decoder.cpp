#include "tokenizer/tokenizer.h"
#include "tokenizer/utf8.h"

namespace bobby {

StreamDecoder::StreamDecoder(const Tokenizer& tokenizer, bool skip_special)
    : tokenizer_(&tokenizer), skip_special_(skip_special) {}

std::string StreamDecoder::push(std::int32_t id) {
  const auto bytes = tokenizer_->token_bytes(id);
  if (!bytes || (skip_special_ && tokenizer_->is_special(id))) return {};
  pending_.append(*bytes);
  std::string text;
  pending_.erase(0, detail::append_valid_utf8(pending_, false, text));
  return text;
}

std::string StreamDecoder::finish() {
  std::string text;
  detail::append_valid_utf8(pending_, true, text);
  pending_.clear();
  return text;
}

}  // namespace bobby
