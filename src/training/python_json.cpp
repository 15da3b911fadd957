#include <charconv>
#include <cmath>

#include "training/chat_template.h"

namespace bobby {
namespace {

using Json = nlohmann::ordered_json;

// repr(float): the shortest digits, plain from 1e-4 up to below 1e16.
std::string python_float(double value) {
  char buffer[64];
  const auto scientific =
      std::to_chars(buffer, buffer + sizeof(buffer), value, std::chars_format::scientific);
  const std::string_view text(buffer, static_cast<std::size_t>(scientific.ptr - buffer));
  const std::size_t e = text.find('e');
  int exponent = 0;
  const std::size_t digits = e + (text[e + 1] == '+' ? 2 : 1);
  std::from_chars(text.data() + digits, text.data() + text.size(), exponent);
  if (exponent < -4 || exponent >= 16) return std::string(text);
  const auto fixed =
      std::to_chars(buffer, buffer + sizeof(buffer), value, std::chars_format::fixed);
  std::string plain(buffer, fixed.ptr);
  if (plain.find('.') == std::string::npos) plain += ".0";
  return plain;
}

void write(const Json& value, std::string& out) {
  if (value.is_object()) {
    std::string_view between = "{";
    for (const auto& [key, each] : value.items()) {
      out += between;
      out += Json(key).dump();
      out += ": ";
      write(each, out);
      between = ", ";
    }
    out += value.empty() ? "{}" : "}";
  } else if (value.is_array()) {
    std::string_view between = "[";
    for (const Json& each : value) {
      out += between;
      write(each, out);
      between = ", ";
    }
    out += value.empty() ? "[]" : "]";
  } else if (value.is_number_float()) {
    out += python_float(value.get<double>());
  } else {
    out += value.dump();
  }
}

}  // namespace

std::string python_json(const Json& value) {
  std::string out;
  write(value, out);
  return out;
}

}  // namespace bobby
