#pragma once

#include <initializer_list>
#include <nlohmann/json.hpp>
#include <string>

namespace bobby {

/// A well-formed tokenizer.json: the bytes "a" to "f", space and a few merges, GPT-2's splits.
inline nlohmann::json small_file() {
  return nlohmann::json::parse(R"({
    "version": "1.0", "truncation": null, "padding": null,
    "added_tokens": [
      {"id": 12, "content": "<end>", "single_word": false, "lstrip": false, "rstrip": false,
       "normalized": false, "special": true}],
    "normalizer": {"type": "NFC"},
    "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true,
                      "use_regex": true},
    "post_processor": null,
    "decoder": {"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true,
                "use_regex": true},
    "model": {
      "type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": null,
      "end_of_word_suffix": null, "fuse_unk": false, "byte_fallback": false,
      "ignore_merges": false,
      "vocab": {"a": 0, "b": 1, "c": 2, "d": 3, "e": 4, "f": 5, "Ġ": 6, "ab": 7, "abc": 8,
                "Ġabc": 9, "Ã": 10, "©": 11},
      "merges": [["a", "b"], ["ab", "c"], ["Ġ", "abc"]]}
  })");
}

}  // namespace bobby
