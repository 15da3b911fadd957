#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace bobby {

/// [rows, cols] → [cols, rows].
inline std::vector<float> transposed(const std::vector<float>& values, std::int64_t rows,
                                     std::int64_t cols) {
  std::vector<float> out(values.size());
  for (std::int64_t row = 0; row < rows; ++row)
    for (std::int64_t col = 0; col < cols; ++col)
      out[static_cast<std::size_t>(col * rows + row)] =
          values[static_cast<std::size_t>(row * cols + col)];
  return out;
}

}  // namespace bobby
