#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "base/progress.h"
#include "base/result.h"
#include "tensor/dtype.h"

namespace bobby {

/// What synth_model() makes.
struct SynthOptions {
  /// A name of synth_architectures(), or the path of a config.json (any name) in the checkpoint's
  /// own words; its `quantization` says what is quantised, without one the model is dense.
  std::string arch;
  std::filesystem::path folder;  ///< must not exist
  std::uint64_t seed = 0;
  int bits = 4;                ///< of a named architecture; 0: dense
  int group_size = 64;         ///< of a named architecture
  DType dtype = DType::kBF16;  ///< of scales, biases and dense tensors
  int threads = 1;
  std::uint64_t shard_bytes = std::uint64_t{5} << 30;  ///< see CheckpointWriter
};

/// What was made.
struct SynthModel {
  std::int64_t tensors = 0;
  std::uint64_t bytes = 0;  ///< of all tensors
};

/// "qwen3-8b", ...
std::vector<std::string> synth_architectures();

/// Writes an MLX-format model folder (config.json and weights, no tokenizer) of random weights, for
/// measuring: shapes, formats and bytes are those of the real model, the text would be noise.
/// Weights are uniform with a standard deviation of about 0.02 in groups of unequal scales and both
/// signs, norms lie around 1: activations and logits stay of ordinary size at any depth.
/// The same options give the same bytes, whatever `threads`. `folder` appears whole or not at all.
/// kNotFound for an unknown architecture; kUsage when `folder` exists; kUnsupported for bits or
/// group_size; else as ModelConfig::from_json.
Result<SynthModel> synth_model(const SynthOptions& options, const ProgressFn& progress = {});

/// What synth_adapter() makes.
struct SynthAdapterOptions {
  std::string arch;              ///< as in SynthOptions, or a model folder
  std::filesystem::path folder;  ///< must not exist
  std::uint64_t seed = 0;
  std::int64_t rank = 8;
  float scale = 20.0f;
  std::int64_t num_layers = 16;  ///< the last so many blocks; <= 0 or too many: all
};

/// Writes an mlx-lm adapter folder (adapter_config.json, adapters.safetensors in fp32) with random
/// LoRA pairs on all seven projections, in mlx-lm's own initial range for A and a B that makes the
/// delta some tenth of the layer's output. Errors as of synth_model().
Result<SynthModel> synth_adapter(const SynthAdapterOptions& options);

}  // namespace bobby
