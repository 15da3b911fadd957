#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "base/result.h"
#include "training/batches.h"
#include "training/dataset.h"
#include "training/network.h"

namespace bobby {

/// The examples of a run; what the network knows a record by is its place in all of them together,
/// so that a validation record never passes for a training record.
struct TrainingData {
  Dataset training;
  Dataset validation = {};  ///< empty: there is none
  Dataset test = {};        ///< for the loss at the end; empty: none is asked for

  std::int64_t training_count() const { return count(training); }
  /// Where the validation's and the test's places begin.
  std::int64_t validation_begin() const { return count(training); }
  std::int64_t test_begin() const { return count(training) + count(validation); }

 private:
  static std::int64_t count(const Dataset& dataset) {
    return static_cast<std::int64_t>(dataset.examples.size());
  }
};

/// "train.jsonl:12": the record behind a place in the data.
std::string record_name(const TrainingData& data, std::int64_t place);

struct MicroBatchOptions {
  bool compat_mlx = false;
  std::int64_t max_seq_length = 2048;
  std::int64_t pack_tokens = 2048;  ///< rows that run together; 0: every example alone
};

/// What a batch cost.
struct BatchLoss {
  double sum = 0.0;                      ///< cross-entropy over the trained tokens
  std::int64_t tokens = 0;               ///< trained
  std::vector<std::int64_t> not_finite;  ///< places of the records whose loss is no number

  double mean() const { return sum / static_cast<double>(tokens); }
};

/// Turns batches into rows, packs them and runs the network on them.
class MicroBatches {
 public:
  /// Both must outlive this.
  MicroBatches(Network& network, const TrainingData& data, const MicroBatchOptions& options)
      : network_(&network), data_(&data), options_(options) {}

  /// Adds the gradient of the batch: under compat of its mean loss, else of its summed loss.
  /// `places` are TrainingData's. Under compat they are one batch of mlx-lm's, which pads them to
  /// one length.
  Result<BatchLoss> gradients(std::span<const std::int64_t> places, std::uint64_t step);
  /// The loss alone.
  Result<BatchLoss> loss(std::span<const std::int64_t> places);

 private:
  using Run = std::function<Result<RowsLoss>(const TrainingRows&)>;
  Result<BatchLoss> run(std::span<const std::int64_t> places, const Run& run);

  Network* network_;
  const TrainingData* data_;
  MicroBatchOptions options_;
};

}  // namespace bobby
