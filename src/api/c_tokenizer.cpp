#include <algorithm>
#include <bobby/bobby_c.h>
#include <bobby/text_generation.h>
#include <cstdlib>
#include <new>
#include <string>
#include <utility>

#include "api/c_support.h"

struct bobby_tokenizer {
  bobby::v1::Tokenizer tokenizer;
};

using namespace bobby::api;  // NOLINT(google-build-using-namespace): the C functions are thin over
                             // it
using bobby::v1::Result;

extern "C" {

bobby_status bobby_tokenizer_load(const char* folder, bobby_tokenizer** tokenizer, char** error) {
  if (tokenizer != nullptr) *tokenizer = nullptr;
  return guarded(error, [&]() -> Result<void> {
    if (auto checked = check_arguments({{"folder", folder}, {"tokenizer", tokenizer}}); !checked)
      return checked;
    auto loaded = bobby::v1::load_tokenizer({.path = folder});
    if (!loaded) return loaded.error();
    *tokenizer = new bobby_tokenizer{*std::move(loaded)};
    return {};
  });
}

void bobby_tokenizer_free(bobby_tokenizer* tokenizer) {
  delete tokenizer;
}

bobby_status bobby_tokenizer_vocab_size(const bobby_tokenizer* tokenizer, int64_t* size,
                                        char** error) {
  return guarded(error, [&]() -> Result<void> {
    if (auto checked = check_arguments({{"tokenizer", tokenizer}, {"size", size}}); !checked)
      return checked;
    *size = tokenizer->tokenizer.vocab_size();
    return {};
  });
}

bobby_status bobby_tokenizer_encode(const bobby_tokenizer* tokenizer, const char* text,
                                    size_t text_size, int32_t** ids, size_t* count, char** error) {
  if (ids != nullptr) *ids = nullptr;
  return guarded(error, [&]() -> Result<void> {
    if (auto checked = check_arguments(
            {{"tokenizer", tokenizer}, {"text", text}, {"ids", ids}, {"count", count}});
        !checked)
      return checked;
    const std::vector<std::int32_t> encoded = tokenizer->tokenizer.encode({text, text_size});
    // One more than needed, so that no tokens are no null pointer.
    auto* copy = static_cast<int32_t*>(std::malloc((encoded.size() + 1) * sizeof(int32_t)));
    if (copy == nullptr) throw std::bad_alloc();
    std::copy(encoded.begin(), encoded.end(), copy);
    *ids = copy;
    *count = encoded.size();
    return {};
  });
}

bobby_status bobby_tokenizer_decode(const bobby_tokenizer* tokenizer, const int32_t* ids,
                                    size_t count, char** text, size_t* text_size, char** error) {
  if (text != nullptr) *text = nullptr;
  return guarded(error, [&]() -> Result<void> {
    if (auto checked = check_arguments({{"tokenizer", tokenizer}, {"text", text}}); !checked)
      return checked;
    if (count > 0)
      if (auto checked = check_arguments({{"ids", ids}}); !checked) return checked;
    auto decoded = tokenizer->tokenizer.decode({ids, count});
    if (!decoded) return decoded.error();
    *text = copy_string(*decoded);
    if (*text == nullptr) throw std::bad_alloc();
    if (text_size != nullptr) *text_size = decoded->size();
    return {};
  });
}

void bobby_tokens_free(int32_t* ids) {
  std::free(ids);
}

}  // extern "C"
