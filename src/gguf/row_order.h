#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

namespace bobby {

/// Files of the llama architecture keep the output rows of q and k in the order of neighbouring
/// pairs (2i, 2i + 1) of a head; the checkpoint's order is halves (i, i + head_dim / 2).
/// Whether that holds for the module at the checkpoint's `path`.
bool has_paired_rows(std::string_view architecture, std::string_view path);

/// For each row of the checkpoint, the row of the file. Precondition: head_dim is even and divides
/// `rows`.
std::vector<std::int64_t> paired_row_source(std::int64_t rows, std::int64_t head_dim);

}  // namespace bobby
