#pragma once

#include <algorithm>
#include <string>
#include <string_view>

namespace bobby::mlx_backend {

/// The parts one behind the other, without comments and indentation: MLX copies and hashes a
/// kernel's text each time that it is called.
template <typename... Parts>
std::string kernel_source(const Parts&... parts) {
  std::string whole, source;
  ((whole += parts), ...);
  for (std::string_view rest = whole; !rest.empty();) {
    std::string_view line = rest.substr(0, rest.find('\n'));
    rest.remove_prefix(std::min(line.size() + 1, rest.size()));
    line = line.substr(0, line.find("//"));
    if (const auto begin = line.find_first_not_of(' '); begin != std::string_view::npos) {
      line.remove_prefix(begin);
      source.append(line.substr(0, line.find_last_not_of(' ') + 1)).append("\n");
    }
  }
  return source;
}

}  // namespace bobby::mlx_backend
