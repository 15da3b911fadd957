#pragma once

#include <optional>

#include "tokenizer/json_object.h"
#include "tokenizer/pre_tokenizer.h"

namespace bobby::detail {

// The components of tokenizer.json. Each reports what is malformed, and by its type or key what is
// not implemented; an absent or null component is passed as nullopt.

/// Whether text is normalized (to NFC, the only normalizer there is).
bool read_normalizer(std::optional<JsonElement> element, Problems& problems);
PreTokenizer read_pre_tokenizer(std::optional<JsonElement> element, Problems& problems);

// These have nothing to configure here; they are read to refuse what would matter.

/// Post-processors add special tokens, which encode() does not; any other is refused.
void check_post_processor(std::optional<JsonElement> element, Problems& problems);
void check_decoder(std::optional<JsonElement> element, Problems& problems);
/// Padding of a batch to its longest does nothing to a single text.
void check_padding(std::optional<JsonElement> element, Problems& problems);

}  // namespace bobby::detail
