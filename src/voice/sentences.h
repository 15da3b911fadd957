#pragma once

#include <string_view>

namespace bobby {

/// Whether a grapheme ends a sentence that a space follows: '.', '!', '?', an ellipsis and their
/// like.
bool is_terminator(std::string_view grapheme);
/// Whether it ends one without a space after it, as in Chinese and Japanese.
bool is_wide_terminator(std::string_view grapheme);
/// Whether a grapheme may stand between a sentence's end and the space after it: a closing quote or
/// bracket.
bool is_closer(std::string_view grapheme);
/// Whether `text` ends with the end of a sentence; spaces and closers after it do not matter.
bool ends_sentence(std::string_view text);

}  // namespace bobby
