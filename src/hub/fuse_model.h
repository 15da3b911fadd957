#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "base/progress.h"
#include "base/result.h"
#include "lora/adapter.h"
#include "lora/fused_rows.h"
#include "model/config.h"

namespace bobby {

/// How fuse_model() writes an adapter into a base.
struct FuseModelOptions {
  DType dtype = DType::kBF16;  ///< of every matrix, unless requantize
  FuseRounding rounding = FuseRounding::kOnce;
  /// Quantise the adapted weights again, in their own format and type, and leave all others as they
  /// are. What that costs is in FusedModule::kept.
  bool requantize = false;
  std::optional<QuantizationConfig> format = {};  ///< in place of their own, with requantize
  Rounding quantize_rounding = Rounding::kGpu;
  float factor = 1.0f;  ///< on every module's scale
  int threads = 1;
  std::uint64_t shard_bytes = std::uint64_t{5} << 30;  ///< see CheckpointWriter
};

/// What became of the change of one adapted module.
struct FusedModule {
  std::string path;
  DeltaKept kept;
};

struct FusedModel {
  std::vector<FusedModule> modules;  ///< in the checkpoint's order
  std::uint64_t bytes = 0;           ///< of all tensors
};

/// Writes `source` with `adapter` worked into its weights as a model folder of its own: every
/// matrix dequantised, the adapted ones with their change (DoRA too), rounded to options.dtype
/// once; norms and biases as they were. Or, with requantize, a folder of the base's format.
/// Streams: a few megabytes are in memory at a time, and `folder` appears whole or not at all.
/// kMismatch, all in one Error: modules that the base has not, or of another shape; kUnsupported:
/// an embedding under DoRA, a tied head that would need weights of its own, a format that is not
/// read; kUsage: `folder` exists, or requantize where the base is dense; kNumeric.
Result<FusedModel> fuse_model(const std::filesystem::path& source, const Adapter& adapter,
                              const std::filesystem::path& folder, const FuseModelOptions& options,
                              const ProgressFn& progress = {});

}  // namespace bobby
