// A tokenizer.json and, after the first NUL, a text: neither may crash anything. Seeds:
//   tokenizer_fuzz NEW_INPUTS tests/parity/tokenizer/goldens -dict=fuzz/tokenizer.dict
//   -max_len=20000

#include <cstdlib>
#include <string>
#include <string_view>

#include "tokenizer/tokenizer.h"

namespace {

void require(bool condition) {
  if (!condition) std::abort();
}

void use(const bobby::Tokenizer& tokenizer, std::string_view text) {
  const auto ids = tokenizer.encode(text);
  bobby::StreamDecoder stream(tokenizer, false);
  std::string streamed;
  for (const std::int32_t id : ids) {
    require(id >= 0 && id < tokenizer.vocab_size());
    require(tokenizer.token_bytes(id).has_value());
    streamed += stream.push(id);
  }
  streamed += stream.finish();
  const auto decoded = tokenizer.decode(ids);
  require(decoded.has_value() && *decoded == streamed);
  tokenizer.token_to_id(text);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  const std::size_t end = input.find('\0');
  const std::string_view text = end == std::string_view::npos ? input : input.substr(end + 1);
  const auto tokenizer = bobby::Tokenizer::from_json(input.substr(0, end), "fuzz");
  if (tokenizer)
    use(*tokenizer, text);
  else
    require(!tokenizer.error().to_string().empty());
  return 0;
}
