#include "training/adapter_writer.h"

#include <cmath>
#include <cstring>
#include <fmt/format.h>
#include <set>
#include <vector>

#include "base/safetensors_error.h"
#include "safetensors/reader.h"
#include "safetensors/writer.h"

namespace bobby {
namespace {

// mlx-lm saves DoRA's magnitude as a vector.
std::vector<std::uint64_t> shape_of(const TrainableTensor& tensor) {
  const auto cols = static_cast<std::uint64_t>(tensor.cols);
  if (tensor.name.ends_with(".m")) return {cols};
  return {static_cast<std::uint64_t>(tensor.rows), cols};
}

Result<void> read_one(const safetensors::File& file, TrainableTensor& tensor) {
  const std::string where = fmt::format("tensor '{}'", tensor.name);
  const safetensors::Tensor* found = file.find(tensor.name);
  const std::string expected = safetensors::describe(safetensors::DType::kF32, shape_of(tensor));
  if (found == nullptr)
    return fail({.code = ErrorCode::kMismatch,
                 .where = where,
                 .problem = "is missing",
                 .expected = expected});
  if (found->dtype != safetensors::DType::kF32 || found->shape != shape_of(tensor))
    return fail({.code = ErrorCode::kMismatch,
                 .where = where,
                 .problem = "does not fit what is trained",
                 .expected = expected,
                 .found = safetensors::describe(found->dtype, found->shape)});
  std::memcpy(tensor.value.data(), found->data.data(), found->data.size());
  for (const float value : tensor.value)
    if (!std::isfinite(value))
      return fail(
          {.code = ErrorCode::kNumeric, .where = where, .problem = "holds NaN or infinity"});
  return {};
}

}  // namespace

std::string numbered_adapter_file(std::int64_t iteration) {
  return fmt::format("{:07}_{}", iteration, kAdapterFile);
}

Result<void> write_adapter_tensors(const std::filesystem::path& file,
                                   std::span<const TrainableTensor> tensors) {
  std::vector<safetensors::TensorData> data;
  for (const TrainableTensor& tensor : tensors)
    data.push_back({{tensor.name, safetensors::DType::kF32, shape_of(tensor)},
                    std::as_bytes(std::span(tensor.value))});
  if (auto written = safetensors::write_file(file, data); !written)
    return fail(to_error(std::move(written).error()));
  return {};
}

Result<void> read_adapter_tensors(const std::filesystem::path& file,
                                  std::span<TrainableTensor> tensors) {
  auto opened = safetensors::File::open(file);
  if (!opened) return fail(to_error(std::move(opened).error()));
  std::vector<Error> problems;
  std::set<std::string_view> known;
  for (TrainableTensor& tensor : tensors) {
    known.insert(tensor.name);
    if (auto read = read_one(*opened, tensor); !read) problems.push_back(std::move(read).error());
  }
  for (const safetensors::Tensor& tensor : opened->tensors())
    if (!known.contains(tensor.name))
      problems.push_back({.code = ErrorCode::kMismatch,
                          .where = fmt::format("tensor '{}'", tensor.name),
                          .problem = "is not among what is trained",
                          .hint = "num_layers, keys and fine_tune_type say what is"});
  if (!problems.empty()) return fail(join_errors(std::move(problems)).in(file.string()));
  return {};
}

}  // namespace bobby
