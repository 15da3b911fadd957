#include <algorithm>
#include <array>
#include <string>
#include <tuple>

#include "header.h"

namespace safetensors {
namespace {

std::string range(std::uint64_t begin, std::uint64_t end) {
  return describe(std::array{begin, end});
}

// Whether begin <= end, so that the tensor has a place at all.
bool check_size(const Tensor& tensor, Problems& problems) {
  if (tensor.begin > tensor.end) {
    problems.add({.code = ErrorCode::kOffsets,
                  .tensor = tensor.name,
                  .problem = "data_offsets are reversed",
                  .found = range(tensor.begin, tensor.end)});
    return false;
  }
  const Result<std::uint64_t> bytes = byte_count(tensor.dtype, tensor.shape);
  if (!bytes) {
    Error error = bytes.error();
    error.tensor = tensor.name;
    problems.add(std::move(error));
  } else if (*bytes != tensor.byte_size()) {
    problems.add(
        {.code = ErrorCode::kSizeMismatch,
         .tensor = tensor.name,
         .problem = "data_offsets do not match dtype and shape",
         .expected = std::to_string(*bytes) + " bytes for " + describe(tensor.dtype, tensor.shape),
         .found = range(tensor.begin, tensor.end) + ", " + std::to_string(tensor.byte_size()) +
                  " bytes"});
  }
  return true;
}

// A gap is reported once, at the tensor after it.
std::uint64_t check_contiguous(std::span<const Tensor> tensors, Problems& problems) {
  std::uint64_t expected = 0;
  for (const Tensor& tensor : tensors) {
    if (tensor.begin != expected)
      problems.add({.code = ErrorCode::kOffsets,
                    .tensor = tensor.name,
                    .problem = tensor.begin < expected ? "the data overlaps another tensor's"
                                                       : "there is a hole before the data",
                    .expected = "data_offsets from " + std::to_string(expected),
                    .found = range(tensor.begin, tensor.end)});
    expected = std::max(expected, tensor.end);
  }
  return expected;
}

}  // namespace

bool check_sizes(std::vector<Tensor>& tensors, Problems& problems) {
  std::ranges::sort(tensors, {}, [](const Tensor& tensor) {
    return std::tuple(tensor.begin, tensor.end, std::string_view(tensor.name));
  });
  bool placed = true;
  for (const Tensor& tensor : tensors) placed &= check_size(tensor, problems);
  return placed;
}

std::uint64_t check_tiling(std::span<const Tensor> tensors, std::uint64_t data_size, bool lenient,
                           Problems& problems) {
  const std::uint64_t end = check_contiguous(tensors, problems);
  if (end > data_size)
    problems.add({.code = ErrorCode::kDataTruncated,
                  .problem = "the file ends before the data",
                  .expected = std::to_string(end) + " bytes of data",
                  .found = std::to_string(data_size)});
  if (end < data_size && !lenient)
    problems.add({.code = ErrorCode::kTrailingBytes,
                  .problem = "there are " + std::to_string(data_size - end) +
                             " bytes after the data (a lenient reader skips them)",
                  .expected = std::to_string(end) + " bytes of data",
                  .found = std::to_string(data_size)});
  return end;
}

}  // namespace safetensors
