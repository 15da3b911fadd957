#include "gguf/row_order.h"

namespace bobby {

bool has_paired_rows(std::string_view architecture, std::string_view path) {
  return architecture == "llama" && (path.ends_with(".q_proj") || path.ends_with(".k_proj"));
}

std::vector<std::int64_t> paired_row_source(std::int64_t rows, std::int64_t head_dim) {
  std::vector<std::int64_t> source;
  source.reserve(static_cast<std::size_t>(rows));
  for (std::int64_t head = 0; head < rows; head += head_dim)
    for (std::int64_t half = 0; half < 2; ++half)
      for (std::int64_t i = 0; i < head_dim / 2; ++i) source.push_back(head + 2 * i + half);
  return source;
}

}  // namespace bobby
