#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "base/progress.h"
#include "base/result.h"
#include "tensor/formats/affine.h"

namespace bobby {

/// How quantize_model() quantises every matrix.
struct QuantizeModelOptions {
  int bits = 4;         ///< 2, 3, 4, 5, 6 or 8
  int group_size = 64;  ///< 32, 64 or 128
  Rounding rounding = Rounding::kGpu;
  int threads = 1;
  /// Where to start a new file; see CheckpointWriter.
  std::uint64_t shard_bytes = std::uint64_t{5} << 30;
};

/// What quantize_model() made.
struct QuantizedModel {
  std::int64_t quantized = 0;           ///< modules that were quantised
  std::vector<std::string> left_dense;  ///< modules whose columns do not fill whole groups
  std::uint64_t bytes_before = 0;       ///< of all tensors
  std::uint64_t bytes_after = 0;
};

/// Turns a dense model folder (bf16, f16 or f32; one file or shards) into an MLX one: every linear
/// layer and the embedding quantised, norms and biases as they were. config.json gets
/// `quantization` and its twin `quantization_config`; the tokenizer's and other small files are
/// copied. A few megabytes are in memory at a time; `folder` appears whole or not at all.
///
/// A module whose columns do not fill whole groups stays dense, with an entry `false`. A tied
/// head's duplicate and rotary tables, which MLX drops at load, are dropped.
/// kUsage when `folder` exists or `source` is quantised already; kUnsupported, naming every tensor
/// that is not floating point; kNumeric for NaN; else as ModelConfig::load and safetensors.
Result<QuantizedModel> quantize_model(const std::filesystem::path& source,
                                      const std::filesystem::path& folder,
                                      const QuantizeModelOptions& options,
                                      const ProgressFn& progress = {});

}  // namespace bobby
