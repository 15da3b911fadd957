#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>

#include "base/result.h"
#include "training/batches.h"
#include "training/metrics.h"
#include "training/network.h"
#include "training/optimizer.h"

namespace bobby {

/// Names of the two checkpoints in an adapter folder. Each is an adapter folder of its own; "last"
/// also holds what a run needs to go on.
inline constexpr const char* kLastFolder = "last";
inline constexpr const char* kBestFolder = "best";

/// Where a run stands, besides its tensors and its optimizer's.
struct TrainingState {
  std::int64_t iteration = 0;     ///< micro-batches done
  std::int64_t update_at = 0;     ///< `iteration` after the latest optimizer step
  BatchPosition update_position;  ///< of the data at update_at: what came after it is run again
  std::int64_t tokens = 0;        ///< trained so far
  double pending_loss = 0.0;      ///< sum over the pending_count losses not reported yet
  double pending_count = 0.0;     ///< micro-batches (compat) or tokens (ours)
  std::int64_t pending_tokens = 0;
  std::optional<double> start_val_loss;  ///< before the first step
  std::optional<double> best_val_loss;
  std::int64_t best_iteration = 0;
  std::optional<double> patience_val_loss;  ///< what early_stopping compares with
  std::int64_t worse_validations = 0;       ///< in a row, for early_stopping
  std::int64_t validated_at = -1;           ///< the iteration of the latest validation
  bool finished = false;
  MetricsPosition metrics;

  bool operator==(const TrainingState&) const = default;
};

/// What a run was made of: resuming with anything else would not be the same run.
struct RunIdentity {
  std::string data_sha256;  ///< of the bytes of its data files
  std::string base_digest;  ///< model_digest()
  std::string config_yaml;  ///< the config file's text
  std::string overrides;    ///< flags on top of it, as a JSON object

  bool operator==(const RunIdentity&) const = default;
};

/// The texts of an adapter folder.
struct AdapterTexts {
  std::string adapter_config;  ///< adapter_config.json
  std::string voice;           ///< voice.json
};

/// Replaces the adapter folder `folder` whole. kIo: the old one stays.
Result<void> write_adapter_folder(const std::filesystem::path& folder,
                                  std::span<const TrainableTensor> tensors,
                                  const AdapterTexts& texts);

/// What a checkpoint is written from.
struct CheckpointParts {
  std::span<const TrainableTensor> tensors;
  const OptimizerState& optimizer;
  const TrainingState& state;
  const RunIdentity& identity;
  const AdapterTexts& texts;
};

/// As write_adapter_folder(), with everything that resuming needs. kIo.
Result<void> write_checkpoint(const std::filesystem::path& folder, const CheckpointParts& parts);

/// A checkpoint without its tensors.
struct Checkpoint {
  std::filesystem::path folder;
  OptimizerState optimizer;
  TrainingState state;
  RunIdentity identity;
};

/// Reads `folder`, or `folder`/last when that is there, after ending what a killed process had
/// begun. The tensors are read by read_adapter_tensors(). kNotFound, kMalformed, kIo.
Result<Checkpoint> read_checkpoint(const std::filesystem::path& folder);

}  // namespace bobby
