#include "lora/block_path.h"

#include <charconv>

namespace bobby {

BlockPath block_path(std::string_view path) {
  constexpr std::string_view kBlocks = "model.layers.";
  if (!path.starts_with(kBlocks)) return {std::nullopt, path};
  const std::string_view tail = path.substr(kBlocks.size());
  std::int64_t layer = 0;
  const auto [end, code] = std::from_chars(tail.data(), tail.data() + tail.size(), layer);
  const std::size_t digits = static_cast<std::size_t>(end - tail.data());
  if (code != std::errc() || digits >= tail.size() || tail[digits] != '.')
    return {std::nullopt, path};
  return {layer, tail.substr(digits + 1)};
}

}  // namespace bobby
