#pragma once

#include <chrono>

#include "training/optimizer.h"
#include "training/run_files.h"
#include "training/schedule.h"
#include "training/trainer.h"

namespace bobby {

/// Trainer's parts, made by Trainer::begin().
struct LoopParts {
  TrainingRun run;
  TrainingWatch watch;
  std::unique_ptr<BatchOrder> order;
  std::unique_ptr<Optimizer> optimizer;
  RunFiles files;
  TrainingState state;
  std::int64_t iterations = 0;
};

/// The loop behind Trainer. training_steps.cpp has the two ways to make a step, training_loop.cpp
/// what happens between steps.
class TrainingLoop final : public Trainer {
 public:
  explicit TrainingLoop(LoopParts parts);
  Result<TrainingOutcome> run() override;

 private:
  using Clock = std::chrono::steady_clock;

  // training_steps.cpp
  Result<void> compat_iteration();
  Result<void> group();
  Result<void> update(float divisor);
  void count(const BatchLoss& loss, double pending_loss, double pending_count);
  Result<void> check_finite(const BatchLoss& loss, std::span<const std::int64_t> places);
  Error not_finite(std::vector<std::int64_t> places, std::string_view what);

  // training_loop.cpp
  Result<void> loop();
  Result<void> validate(std::span<const Batch> batches, std::int64_t iteration);
  Result<void> judge(double val_loss);
  Result<void> sample(std::int64_t iteration);
  Result<void> report_if_due(std::int64_t before);
  Result<void> save_if_due(std::int64_t before);
  Result<void> save();
  Result<void> finish();
  Result<std::optional<double>> test();
  void show_progress(std::string_view phase, std::int64_t done, std::int64_t total);
  std::vector<Batch> validation_batches();

  bool compat() const { return parts_.run.config->compat_mlx; }
  bool replaying() const { return at_ < parts_.state.iteration; }
  bool cancelled() const { return parts_.watch.cancel != nullptr && parts_.watch.cancel->load(); }
  bool validates() const { return !parts_.run.data->validation.examples.empty(); }
  bool is_due(std::int64_t before, std::int64_t every) const;
  bool stops_early() const;
  bool validation_is_due() const;
  bool lacks_last_validation() const;
  bool is_complete() const;
  /// Whether the folder itself holds the best adapter in place of the last one.
  bool holds_best() const { return !compat() && parts_.state.best_val_loss.has_value(); }
  float learning_rate() const;

  LoopParts parts_;
  LearningRate rate_;
  MicroBatches micro_;
  std::uint64_t updates_ = 0;
  std::int64_t at_ = 0;                    ///< iterations of the data gone through
  std::vector<std::int64_t> step_places_;  ///< records since the latest update
  std::optional<double> recent_loss_;      ///< for the progress line
  double report_seconds_ = 0.0;            ///< of training since the report before
  double run_seconds_ = 0.0;               ///< of training in this process
  std::int64_t run_tokens_ = 0;
  std::int64_t first_ = 0;  ///< at_ when this process began
  Clock::time_point begun_ = Clock::now();
};

/// The tensors as the optimizer takes them.
std::vector<ParameterUpdate> parameter_updates(std::span<TrainableTensor> tensors);

/// Seconds since `begin`.
inline double seconds_since(std::chrono::steady_clock::time_point begin) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

}  // namespace bobby
