#include "data/inspect/html_text.h"

#include "data/inspect/words.h"

namespace bobby::inspection {
namespace {

void append_escaped(std::string_view text, std::string& out) {
  for (const char c : text) switch (c) {
      case '&': out += "&amp;"; break;
      case '<': out += "&lt;"; break;
      case '>': out += "&gt;"; break;
      case '"': out += "&quot;"; break;
      case '\'': out += "&#39;"; break;
      default: out += c;
    }
}

}  // namespace

std::string escape_html(std::string_view text) {
  std::string out;
  // printable() is for single lines: tabs and line ends pass by it.
  while (!text.empty()) {
    const std::size_t end = text.find_first_of("\t\n");
    append_escaped(printable(text.substr(0, end)), out);
    if (end == std::string_view::npos) break;
    out += text[end];
    text.remove_prefix(end + 1);
  }
  return out;
}

std::string escape_html_line(std::string_view text) {
  std::string out;
  append_escaped(printable(text), out);
  return out;
}

}  // namespace bobby::inspection
