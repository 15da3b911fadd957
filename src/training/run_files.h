#pragma once

#include <cstdint>
#include <filesystem>
#include <span>

#include "base/result.h"
#include "training/checkpoint.h"
#include "training/metrics.h"

namespace bobby {

/// The adapter folder of a run: what is written there, and in which order, so that a kill at any
/// moment leaves a checkpoint whose run comes to the same end.
class RunFiles {
 public:
  /// Opens the reports where `position` left them. `keep_checkpoints`: numbered files kept; 0: all.
  static Result<RunFiles> open(const std::filesystem::path& folder, const AdapterTexts& texts,
                               const MetricsPosition& position, std::int64_t keep_checkpoints);

  MetricsFiles& metrics() { return metrics_; }
  const std::filesystem::path& folder() const { return folder_; }

  /// adapters.safetensors, adapter_config.json and voice.json of the folder itself. kIo.
  Result<void> write_adapter(std::span<const TrainableTensor> tensors);
  /// NNNNNNN_adapters.safetensors, as mlx-lm numbers them. kIo.
  Result<void> write_numbered(std::int64_t iteration, std::span<const TrainableTensor> tensors);
  /// best/. kIo.
  Result<void> write_best(std::span<const TrainableTensor> tensors);
  /// The reports, then last/. `state.metrics` is filled in. kIo: the older last/ stays.
  Result<void> write_last(TrainingState& state, const OptimizerState& optimizer,
                          const RunIdentity& identity, std::span<const TrainableTensor> tensors);

 private:
  RunFiles(std::filesystem::path folder, AdapterTexts texts, MetricsFiles metrics,
           std::int64_t keep_checkpoints)
      : folder_(std::move(folder)),
        texts_(std::move(texts)),
        metrics_(std::move(metrics)),
        keep_checkpoints_(keep_checkpoints) {}
  void remove_old_numbered() const;

  std::filesystem::path folder_;
  AdapterTexts texts_;
  MetricsFiles metrics_;
  std::int64_t keep_checkpoints_;
};

}  // namespace bobby
