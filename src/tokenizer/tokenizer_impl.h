#pragma once

#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "tokenizer/added_tokens.h"
#include "tokenizer/bpe.h"
#include "tokenizer/json_object.h"
#include "tokenizer/pre_tokenizer.h"
#include "tokenizer/tokenizer.h"

namespace bobby {

struct Tokenizer::Impl {
  /// An added token as decode() sees it.
  struct Added {
    std::string bytes;
    bool is_special;
  };

  detail::Bpe bpe;
  bool normalizes = false;
  detail::PreTokenizer pre_tokenizer = {};
  detail::AddedTokenMatcher raw_tokens = {};         ///< looked for in the text as it is
  detail::AddedTokenMatcher normalized_tokens = {};  ///< looked for in the normalized text
  std::unordered_map<std::int32_t, Added> added = {};
  std::unordered_map<std::string, std::int32_t> added_ids = {};
  std::int64_t id_end = 0;

  /// Reads the file `name`. `is_padded`: simdjson may read a little past the end of `json`.
  static Result<std::unique_ptr<const Impl>> read(std::string_view json, bool is_padded,
                                                  std::string_view name);

 private:
  /// Null, with the reasons in `problems`, if anything in the document is malformed or unknown.
  static std::unique_ptr<const Impl> read(detail::JsonElement document, detail::Problems& problems);
  void read_added_tokens(std::optional<detail::JsonElement> element, detail::Problems& problems);
  void add(const detail::AddedToken& token);
};

}  // namespace bobby
