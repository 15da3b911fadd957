#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <vector>

#include "backends/backend.h"
#include "base/progress.h"
#include "base/result.h"
#include "fidelity/report.h"
#include "lora/adapter.h"
#include "model/config.h"
#include "model/model.h"
#include "tensor/formats/affine.h"

namespace bobby::fidelity {

/// A post to be run: the tokens of its prompt, then its own.
struct Sequence {
  std::vector<std::int32_t> tokens;
  /// tokens[i] is a token of the post, which is looked at, for i >= max(1, begin).
  std::int64_t begin = 0;
};

struct Options {
  DType fused_type = DType::kBF16;
  /// Of the adapted weights when they are quantised again; unset: each as the base has it, or 4
  /// bits in groups of 64 where the base is dense.
  std::optional<QuantizationConfig> requantize = {};
  Rounding rounding = Rounding::kGpu;
  KvFormat kv_format = KvFormat::kF16;  ///< of the runtime way
  int threads = 1;
  ProgressFn progress = {};
};

/// What is compared. All of it must outlive the call.
struct Subject {
  const std::filesystem::path& model_folder;
  const Adapter& adapter;
  float factor = 1.0f;  ///< on every module's scale
  /// Host memory, fp32: a backend that trains. The reference and what is fused run on it.
  Backend& host;
  /// As posts are written. Null when `sequences` is empty.
  Model* runtime = nullptr;
  std::shared_ptr<const AttachedAdapter> attached = {};
  std::vector<Sequence> sequences = {};
};

/// Runs `sequences` with the adapter in every Way, and in the reference: base and pairs in fp32,
/// the base as its numbers are, products and sums in fp32. What is fused has exact arithmetic too,
/// so that what is lost there is lost by the weights alone. Works block by block: besides the
/// mapped base, the weights of one block and the rows of some thousand tokens are in memory, and a
/// fused head while logits are compared.
/// Fills modules, reference and ways. kUnsupported: the adapter changes the embedding; kMismatch:
/// it is of another base; kNumeric: DoRA divides by zero.
Result<Report> measure(const Subject& subject, const Options& options);

}  // namespace bobby::fidelity
