#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "base/progress.h"
#include "base/result.h"
#include "hub/quantize_recipe.h"
#include "tensor/formats/affine.h"

namespace bobby {

/// How quantize_model() quantises.
struct QuantizeModelOptions {
  int bits = 4;                          ///< 2, 3, 4, 5, 6 or 8
  int group_size = 64;                   ///< 32, 64 or 128
  std::string recipe = {};               ///< one of quantize_recipes(), in place of `bits`
  std::vector<QuantizeRule> rules = {};  ///< over recipe and bits; the last that matches counts
  Rounding rounding = Rounding::kGpu;
  int threads = 1;
  /// What does the work: the plain definition, or kernels that give its bits.
  QuantizeRows quantize_rows = bobby::quantize_rows;
  /// Where to start a new file. A run that was killed goes on at the file it was writing.
  std::uint64_t shard_bytes = std::uint64_t{1} << 30;
};

/// What quantising took from a weight.
struct TensorError {
  std::string path;  ///< of the module
  QuantizationConfig quantization;
  double relative = 0;  ///< |w - w'| / |w|, both the root of a sum of squares; 0 for a weight of 0
  double largest = 0;   ///< the largest |w - w'|
};

/// What quantize_model() made.
struct QuantizedModel {
  std::int64_t quantized = 0;           ///< modules that were quantised
  std::vector<std::string> left_dense;  ///< modules that no rule, and that their columns, left so
  std::uint64_t bytes_before = 0;       ///< of all tensors
  std::uint64_t bytes_after = 0;
  std::vector<TensorError> errors;  ///< of every quantised module, in the order of the source
  std::int64_t files = 0;           ///< of weights
  std::int64_t files_taken_up = 0;  ///< of those, what an earlier run had finished
};

/// Turns a dense model folder (bf16, f16 or f32; one file or shards) into an MLX one: every linear
/// layer and the embedding quantised, norms and biases as they were. config.json gets
/// `quantization` and its twin `quantization_config`, with an entry for each module that differs
/// from the rest (for every module with a recipe, as mlx-lm writes it); the tokenizer's and other
/// small files are copied.
///
/// What is read is read ahead and dropped behind, so that under 300 MB are in memory at a time,
/// the system's cache included, whatever the model's size. `folder` appears whole or not at all;
/// a run that died, or that `progress` or the disk stopped, is taken up by the next one with the
/// same source and options: files that it had finished are checked and kept.
///
/// A module whose columns do not fill whole groups stays dense, with an entry `false`. A tied
/// head's duplicate and rotary tables, which MLX drops at load, are dropped.
/// kUsage when `folder` exists, `source` is quantised already or a rule matches no module;
/// kUnsupported, naming every tensor that is not floating point; kLimit when the disk has no room;
/// kBusy when another process is making `folder`; kNumeric for NaN; else as ModelConfig::load and
/// safetensors.
Result<QuantizedModel> quantize_model(const std::filesystem::path& source,
                                      const std::filesystem::path& folder,
                                      const QuantizeModelOptions& options,
                                      const ProgressFn& progress = {});

}  // namespace bobby
