#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include "base/progress.h"
#include "base/result.h"

namespace bobby {

/// What an import made.
struct GgufImport {
  std::string architecture;  ///< "llama", "qwen3"
  std::int64_t tensors = 0;  ///< GGUF tensors read
  std::uint64_t bytes = 0;   ///< bytes of tensor data written
  std::string quantization;  ///< the folder's default format, or "none"
};

/// Turns a GGUF file (llama or qwen3; Q4_0, Q4_1, Q8_0, F16, BF16, F32) into an MLX-format model
/// folder: config.json, model.safetensors, tokenizer.json, tokenizer_config.json. Every weight
/// keeps its exact value (see docs/formats/quantization.md). The folder appears whole or not at
/// all. kUsage when `folder` exists; kUnsupported naming the architecture, tensor or type;
/// kMalformed.
Result<GgufImport> import_gguf(const std::filesystem::path& gguf,
                               const std::filesystem::path& folder,
                               const ProgressFn& progress = {});

}  // namespace bobby
