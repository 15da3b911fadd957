#pragma once

#include <string>

#include "base/result.h"
#include "gguf/gguf.h"

namespace bobby {

/// The tokenizer files of a model folder, as text.
struct TokenizerFiles {
  std::string tokenizer_json;         ///< Hugging Face `tokenizer.json`
  std::string tokenizer_config_json;  ///< special tokens and the chat template
};

/// Rebuilds a byte-level BPE tokenizer from a GGUF file's vocabulary, merges and chat template.
/// The split rule is known by its name in `tokenizer.ggml.pre`; kUnsupported names any other rule,
/// and any tokenizer model but "gpt2" (byte-level BPE).
Result<TokenizerFiles> tokenizer_from_gguf(const GgufFile& file);

}  // namespace bobby
