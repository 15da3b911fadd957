#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "model/config.h"
#include "safetensors/tensor.h"
#include "tensor/weight_view.h"

namespace bobby {

/// A parameter of a model: what its checkpoint must hold.
struct ModelTensor {
  enum class Kind : std::uint8_t { kLinear, kEmbedding, kNorm, kBias };

  std::string path;  ///< module path: "model.layers.0.mlp.down_proj"
  Kind kind = Kind::kLinear;
  std::int64_t rows = 0;  ///< out_features, vocab_size; 1 for a norm or a bias
  std::int64_t cols = 0;  ///< in_features, hidden_size

  bool is_matrix() const { return kind == Kind::kLinear || kind == Kind::kEmbedding; }
};

/// Every parameter of a model, in the order that a forward uses them.
std::vector<ModelTensor> model_tensors(const ModelConfig& config);

/// The format that `config` and MLX's rule ask for: a module's own entry, else the global one,
/// unless `false` or columns that do not fill whole groups leave it dense in `dtype`.
WeightFormat format_of(const ModelTensor& tensor, const ModelConfig& config, DType dtype);

/// The tensors that a parameter is stored as: dense one, or weight, scales and biases. An affine
/// weight's names are `path` with .weight, .scales, .biases.
std::vector<safetensors::TensorInfo> stored_tensors(const ModelTensor& tensor,
                                                    const WeightFormat& format);

/// A float dtype as the file format names it, and back (empty: not a float type of ours).
safetensors::DType stored_dtype(DType dtype);
std::optional<DType> float_dtype(safetensors::DType dtype);

}  // namespace bobby
