#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/result.h"
#include "training/trainer.h"

namespace bobby {

/// What a run will need, before it begins.
struct TrainingPlan {
  std::int64_t parameters = 0;  ///< trained
  std::int64_t layers = 0;      ///< blocks with something to train
  std::int64_t records = 0;
  std::int64_t longest = 0;     ///< tokens of the longest record
  double mean_length = 0.0;     ///< tokens of a record
  std::int64_t iterations = 0;  ///< batches
  std::int64_t updates = 0;     ///< optimizer steps
  std::int64_t batches_a_pass = 0;
  double passes = 0.0;  ///< over the training set

  std::int64_t rows = 0;          ///< tokens that run together at most
  std::uint64_t weights = 0;      ///< bytes, of which a CPU maps what it needs
  std::uint64_t adapter = 0;      ///< bytes of values and gradients
  std::uint64_t optimizer = 0;    ///< bytes
  std::uint64_t activations = 0;  ///< bytes, for `rows`
  std::uint64_t input_cache = 0;  ///< bytes, at most
  std::uint64_t available = 0;    ///< bytes of this machine; 0: not known
  /// The longest records that one batch can have and still run in one piece; 0: none fits.
  std::int64_t largest_batch = 0;

  double tok_s = 0.0;    ///< measured: tokens through forward and backward a second
  double seconds = 0.0;  ///< of the whole run, validation included

  std::uint64_t total() const { return weights + adapter + optimizer + activations + input_cache; }
  bool fits() const { return available == 0 || total() <= available; }
};

/// Bytes that an optimizer keeps for these tensors.
std::uint64_t optimizer_bytes(const OptimizerConfig& config,
                              std::span<const TrainableTensor> tensors);

/// Rows that may run together so that the network's memory for them stays within `bytes`: the
/// largest of 4096, 2048, ... that does, and at least `longest`.
std::int64_t choose_pack_tokens(const Network& network, std::int64_t longest, std::uint64_t bytes);

/// Measures a step on the run's own data and adds up. `available`: bytes, 0 when not known.
Result<TrainingPlan> make_plan(const TrainingRun& run, std::uint64_t available);

/// The plan as lines of text, and as one JSON object.
std::string plan_text(const TrainingPlan& plan);
std::string plan_json(const TrainingPlan& plan);

}  // namespace bobby
