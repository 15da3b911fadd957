#include "backends/mlx/kernel_source.h"

#include <algorithm>
#include <cassert>

namespace bobby::mlx_backend {
namespace {

void append_without_comments(std::string_view text, std::string& source) {
  while (!text.empty()) {
    std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(line.size() + 1, text.size()));
    line = line.substr(0, line.find("//"));
    const auto begin = line.find_first_not_of(' ');
    if (begin == std::string_view::npos) continue;
    line = line.substr(begin, line.find_last_not_of(' ') + 1 - begin);
    if (line.starts_with("#include") || line == "#pragma once") continue;
    source.append(line).append("\n");
  }
}

}  // namespace

std::string kernel_source(std::initializer_list<std::string_view> names) {
  std::string source;
  for (const std::string_view name : names) {
    const auto file = std::ranges::find(kernel_files(), name, &KernelFile::name);
    assert(file != kernel_files().end());
    append_without_comments(file->text, source);
  }
  return source;
}

}  // namespace bobby::mlx_backend
