#pragma once

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "training/checkpoint.h"
#include "training/config.h"
#include "training/metrics.h"
#include "training/micro_batches.h"
#include "training/network.h"

namespace bobby {

/// What is trained, on what, and where the results go.
struct TrainingRun {
  const TrainingConfig* config = nullptr;
  Network* network = nullptr;
  const TrainingData* data = nullptr;
  std::filesystem::path folder;     ///< the adapter folder
  std::int64_t pack_tokens = 2048;  ///< rows that run together
  RunIdentity identity;
  AdapterTexts texts;
};

/// How far a run is, for a line that is drawn again and again.
struct TrainingProgress {
  std::string_view phase;  ///< "training", "validation"
  std::int64_t done = 0;   ///< iterations, or batches of the validation
  std::int64_t total = 0;
  std::optional<double> loss;          ///< of late
  double tok_s = 0.0;                  ///< of late
  std::optional<double> seconds_left;  ///< of the whole run
};

/// Who is told of what. All are called from the thread that trains; any may be empty.
struct TrainingWatch {
  std::function<void(const MetricsRow&)> on_report;
  std::function<void(const TrainingProgress&)> on_progress;
  /// Posts that the adapter writes as it is now, at every validation.
  std::function<Result<std::vector<SampleText>>(std::int64_t iteration,
                                                std::span<const TrainableTensor>)>
      write_samples;
  std::function<void(const SampleText&)> on_sample;
  std::function<void(std::string_view)> on_note;
  /// Set when the user wants the run to stop: it ends after the step at hand.
  const std::atomic<bool>* cancel = nullptr;
};

/// How a run ended.
struct TrainingOutcome {
  enum class End : std::uint8_t { kDone, kEarlyStop, kCancelled };
  End end = End::kDone;
  std::int64_t iterations = 0;  ///< micro-batches
  std::uint64_t updates = 0;    ///< optimizer steps
  std::int64_t tokens = 0;      ///< trained
  std::optional<double> start_val_loss;
  std::optional<double> best_val_loss;
  std::int64_t best_iteration = 0;
  std::optional<double> test_loss;  ///< of the adapter that the folder holds, with `test: true`
  bool holds_best = false;          ///< the adapter folder holds the best adapter, not the last one
};

/// A training run, from its beginning or from a checkpoint, to its end.
///
/// Ours: the gradient of a step is that of the mean loss over all tokens of its
/// grad_accumulation_steps batches, a last group that is smaller makes a step too, and validation
/// follows the step. Compat: mlx_lm.lora's order and arithmetic. Either way a run that was resumed
/// ends with the same bits as one that was never broken off, where the network's do not depend on
/// the time of day.
class Trainer {
 public:
  /// Sets up optimizer, data order and files. What `run` points to must outlive the trainer.
  /// `resume`: the network's tensors are read from it. kUsage, kMismatch, kIo.
  static Result<std::unique_ptr<Trainer>> begin(TrainingRun run, TrainingWatch watch,
                                                const Checkpoint* resume = nullptr);

  /// kNumeric names the records of a step whose loss or gradient is not finite; kIo: a file could
  /// not be written. Both leave a checkpoint to resume from.
  virtual Result<TrainingOutcome> run() = 0;

  virtual ~Trainer() = default;
  Trainer(const Trainer&) = delete;
  Trainer& operator=(const Trainer&) = delete;

 protected:
  Trainer() = default;
};

/// Iterations that a config asks for: iters, or epochs over `batches_a_pass`.
std::int64_t total_iterations(const TrainingConfig& config, std::int64_t batches_a_pass);

}  // namespace bobby
