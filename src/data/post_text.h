#pragma once

#include <string>
#include <string_view>

namespace bobby::data {

/// A text as it is trained on: line ends are "\n", at most two in a row; no other control
/// characters, no invisible marks of direction or order, no spaces in rows or at the ends of lines;
/// NFC. Precondition: UTF-8.
std::string tidy(std::string_view text);

/// Whether a letter or a digit is left of `text` without its links, @names and #tags.
bool has_words(std::string_view text);

}  // namespace bobby::data
