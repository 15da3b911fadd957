#pragma once

#include <string>
#include <string_view>

namespace bobby {

/// Whether `c` is part of a word: a letter or a number of any script.
bool is_word_character(char32_t c);

/// What texts that say the same have in common: letters and digits alone, folded (case, width,
/// accents), with single spaces between words; links left out.
std::string folded_words(std::string_view text);

}  // namespace bobby
