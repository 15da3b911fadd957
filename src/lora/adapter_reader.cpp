#include "lora/adapter_reader.h"

#include <cmath>
#include <utility>

#include "lora/tensor_file.h"
#include "lora/transposed.h"
#include "tensor/formats/dense.h"

namespace bobby {

void AdapterReader::unknown_tensor(const safetensors::Tensor& tensor, std::string hint) {
  report(ErrorCode::kMismatch, tensor.name, "is not part of an adapter", {},
         safetensors::describe(tensor.dtype, tensor.shape), std::move(hint));
}

void AdapterReader::read(const std::string& path, const TensorLayout& layout, std::int64_t rank,
                         float scale, Adapter& adapter) {
  const ModuleTensors& tensors = modules_[path];
  if (!has_all(path, tensors, layout, adapter.dora)) return;
  const std::size_t before = problems_.size();
  is_matrix(*tensors.a, layout.a_is_transposed, rank);
  is_matrix(*tensors.b, !layout.b_is_transposed, rank);
  if (problems_.size() != before) return;

  AdapterModule module;
  module.path = path;
  module.rank = rank;
  module.scale = scale;
  module.in_features = static_cast<std::int64_t>(tensors.a->shape[layout.a_is_transposed ? 0 : 1]);
  module.out_features = static_cast<std::int64_t>(tensors.b->shape[layout.b_is_transposed ? 1 : 0]);
  module.a = widened(*tensors.a);
  module.b = widened(*tensors.b);
  if (tensors.a->dtype == tensors.b->dtype)
    module.dtype = to_dtype(tensors.a->dtype).value_or(DType::kF32);
  if (tensors.magnitude) {
    module.magnitude = widened(*tensors.magnitude);
    if (static_cast<std::int64_t>(module.magnitude.size()) != module.out_features)
      report(ErrorCode::kMismatch, tensors.magnitude->name, "has the wrong shape",
             "[" + std::to_string(module.out_features) + "]",
             safetensors::describe(tensors.magnitude->dtype, tensors.magnitude->shape));
  }
  if (problems_.size() != before) return;
  if (layout.a_is_transposed) module.a = transposed(module.a, module.in_features, rank);
  if (layout.b_is_transposed) module.b = transposed(module.b, rank, module.out_features);
  adapter.modules.push_back(std::move(module));
}

bool AdapterReader::has_all(const std::string& path, const ModuleTensors& tensors,
                            const TensorLayout& layout, bool dora) {
  const auto missing = [&](std::string_view suffix) {
    report(ErrorCode::kMismatch, path + "." + std::string(suffix), "is missing");
  };
  if (!tensors.a) missing(layout.a);
  if (!tensors.b) missing(layout.b);
  if (dora && !tensors.magnitude) missing(layout.magnitude);
  if (!dora && tensors.magnitude)
    unknown_tensor(*tensors.magnitude, "adapter_config.json does not say that this is DoRA");
  return tensors.a && tensors.b && dora == (tensors.magnitude != nullptr);
}

bool AdapterReader::is_matrix(const safetensors::Tensor& tensor, bool rank_is_last,
                              std::int64_t rank) {
  const bool good = tensor.shape.size() == 2 && tensor.shape[0] > 0 && tensor.shape[1] > 0 &&
                    tensor.shape[rank_is_last ? 1 : 0] == static_cast<std::uint64_t>(rank);
  if (!good)
    report(ErrorCode::kMismatch, tensor.name, "does not have the rank of adapter_config.json",
           rank_is_last ? "[features, " + std::to_string(rank) + "]"
                        : "[" + std::to_string(rank) + ", features]",
           safetensors::describe(tensor.dtype, tensor.shape));
  return good;
}

std::vector<float> AdapterReader::widened(const safetensors::Tensor& tensor) {
  const auto dtype = to_dtype(tensor.dtype);
  if (!dtype || !is_float_dtype(*dtype)) {
    report(ErrorCode::kUnsupported, tensor.name, "has the wrong dtype", "F32, F16 or BF16",
           safetensors::describe(tensor.dtype, tensor.shape));
    return {};
  }
  std::vector<float> values(tensor.size());
  widen(*dtype, tensor.data.data(), static_cast<std::int64_t>(values.size()), values.data());
  for (const float value : values)
    if (!std::isfinite(value)) {
      report(ErrorCode::kNumeric, tensor.name, "holds NaN or infinity", {}, {},
             "the training that wrote it went wrong; take an earlier checkpoint");
      break;
    }
  return values;
}

void AdapterReader::report(ErrorCode code, std::string_view tensor, std::string problem,
                           std::string expected, std::string found, std::string hint) {
  problems_.push_back({.code = code,
                       .where = "tensor '" + std::string(tensor) + "'",
                       .problem = std::move(problem),
                       .expected = std::move(expected),
                       .found = std::move(found),
                       .hint = std::move(hint)});
}

}  // namespace bobby
