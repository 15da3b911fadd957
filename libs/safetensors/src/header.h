#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "problems.h"
#include "safetensors/tensor.h"

namespace safetensors {

/// The JSON text of a file, read but not yet held against the data section.
struct Header {
  Metadata metadata;
  /// In the order of the text, without data. When there are problems, those entries that could be
  /// read.
  std::vector<Tensor> tensors;
};

/// Reads the text; what is wrong with it goes to `problems`.
Header parse_header(std::string_view json, Problems& problems);

/// Sorts `tensors` by data_offsets and checks that each has the size of its dtype and shape.
/// Whether all have a place, that is, offsets that are not reversed.
bool check_sizes(std::vector<Tensor>& tensors, Problems& problems);

/// Checks that `tensors`, sorted, fill [0, data_size) without hole or overlap; `lenient` lets bytes
/// after them pass. Returns the end of the last one.
std::uint64_t check_tiling(std::span<const Tensor> tensors, std::uint64_t data_size, bool lenient,
                           Problems& problems);

/// Indices of `tensors` sorted by name; a name that stands twice goes to `problems`.
std::vector<std::uint32_t> sort_by_name(std::span<const Tensor> tensors, Problems& problems);

}  // namespace safetensors
