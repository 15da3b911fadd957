#pragma once

#include <string>
#include <string_view>

namespace bobby::inspection {

/// `text` as HTML shows it, between tags and in attributes: valid UTF-8, markup escaped, control
/// characters (but tab and line end) replaced by visible signs.
std::string escape_html(std::string_view text);

/// `text` as one line of HTML: escape_html() with line ends as "↵".
std::string escape_html_line(std::string_view text);

}  // namespace bobby::inspection
