#pragma once

#include <optional>
#include <string_view>

namespace bobby {

/// `text`, all of it, as a decimal number: "-1.5", ".5", "2e-3"; no sign '+', no spaces, no names.
/// Rounded to the nearest; infinite when it is too large, zero when it is too small. Whatever the
/// locale.
///
/// Not std::from_chars, which Apple's standard library has for whole numbers alone.
std::optional<double> parse_double(std::string_view text);
std::optional<float> parse_float(std::string_view text);

}  // namespace bobby
