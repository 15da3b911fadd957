#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "hub/checkpoint_writer.h"
#include "hub/quantize_model.h"
#include "safetensors/sharded.h"
#include "tensor/weight_view.h"

namespace bobby {

/// One tensor of the source, and what becomes of it.
struct QuantizeJob {
  const safetensors::Tensor* tensor = nullptr;
  const safetensors::File* file = nullptr;  ///< that `tensor` lies in
  std::string path = {};                    ///< of the module, when it is a matrix
  std::optional<WeightFormat> format = {};  ///< unset: copied
  std::vector<safetensors::TensorInfo> out = {};
  std::size_t shard = 0;

  /// The dense weight. Precondition: format.
  WeightView view() const;
};

/// All that is decided before a weight is read.
struct QuantizePlan {
  std::vector<QuantizeJob> jobs;  ///< in the order of the source's bytes, and so of the shards'
  std::vector<Shard> shards;
  std::vector<std::string> left_dense;
  nlohmann::json quantization;  ///< of config.json
  std::uint64_t bytes_before = 0;
  std::uint64_t bytes_after = 0;

  /// The plan in words, with sizes and times of the source's files: what a later run must have in
  /// common to go on with what this one leaves.
  std::string description(const safetensors::Checkpoint& source, Rounding rounding) const;
};

/// Errors as of quantize_model(). `source` must outlive the plan.
Result<QuantizePlan> plan_quantization(const safetensors::Checkpoint& source,
                                       const ModelConfig& config,
                                       const QuantizeModelOptions& options);

}  // namespace bobby
