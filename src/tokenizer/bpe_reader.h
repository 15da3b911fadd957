#pragma once

#include <optional>

#include "tokenizer/bpe.h"
#include "tokenizer/json_object.h"

namespace bobby::detail {

/// Reads the key "model" of tokenizer.json: a BPE with vocabulary and merges. nullopt if anything
/// about it was reported.
std::optional<Bpe> read_bpe(std::optional<JsonElement> element, Problems& problems);

}  // namespace bobby::detail
