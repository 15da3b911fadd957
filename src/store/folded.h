#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace bobby::store {

/// `text` in the form in which texts are compared: NFKC with Unicode's full case folding,
/// characters that are ignored by default (soft hyphen, zero width space) left out. kUsage at
/// `name` when it is not valid UTF-8.
Result<std::string> folded(std::string_view text, std::string_view name);

/// Whether `text` holds each of the words of `words`, which ASCII white space parts; both folded.
bool holds_words(std::string_view text, std::string_view words);

}  // namespace bobby::store
