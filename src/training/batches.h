#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "base/result.h"
#include "training/dataset.h"

namespace bobby {

/// Examples that are one micro-batch, by their place in the dataset.
using Batch = std::vector<std::int64_t>;

struct BatchOptions {
  bool compat_mlx = false;
  std::uint64_t seed = 0;  ///< under compat at most 2^32 - 1, as numpy takes it
  std::int64_t batch_size = 4;
};

/// Where a run stands in its data. Save all of it.
struct BatchPosition {
  std::int64_t epoch = 0;             ///< passes begun before this one
  std::int64_t next = 0;              ///< batches of this pass already given
  std::vector<std::int64_t> order;    ///< compat: this pass's permutation
  std::vector<std::uint32_t> random;  ///< compat: numpy's generator
  bool operator==(const BatchPosition&) const = default;
};

/// The order in which examples are trained and validated.
///
/// Ours: every pass shuffles the examples by (seed, pass) and cuts them into batches; the last
/// batch of a pass may be smaller. Validation takes the first examples of the file, always the
/// same. Compat: mlx-lm's. Examples stand sorted by their number of JSON keys, batches are
/// neighbours, a remainder is left out, and permutations of the batches come from one numpy
/// generator: a training pass's when its first batch is asked for, one more at each validation.
class BatchOrder {
 public:
  /// kUsage: compat with fewer examples than batch_size, or a seed that numpy refuses.
  static Result<std::unique_ptr<BatchOrder>> make(const BatchOptions& options,
                                                  std::span<const TrainingExample> training,
                                                  std::span<const TrainingExample> validation);
  virtual ~BatchOrder() = default;
  BatchOrder(const BatchOrder&) = delete;
  BatchOrder& operator=(const BatchOrder&) = delete;

  /// The next training batch, pass after pass without end. As in mlx-lm, ask for an iteration's
  /// training batch before the validation of that iteration.
  virtual Batch next_training() = 0;
  /// The batches of one validation, at most `val_batches` (-1: all). Empty without a validation
  /// set.
  virtual std::vector<Batch> next_validation(std::int64_t val_batches) = 0;
  virtual std::int64_t batches_a_pass() const = 0;

  virtual BatchPosition position() const = 0;
  /// kMismatch when `position` is of another dataset or mode.
  virtual Result<void> restore(const BatchPosition& position) = 0;

 protected:
  BatchOrder() = default;
};

/// The length that mlx-lm pads a batch to: min(1 + 32 * ceil(longest / 32), max_seq_length).
std::int64_t mlx_padded_length(std::span<const std::int64_t> lengths, std::int64_t max_seq_length);

/// One example as inputs and targets. The padding that mlx-lm adds changes nothing that is trained
/// save one target, token 0 after the last token, when the padded length leaves room for it.
struct ExampleRows {
  std::vector<std::int32_t> inputs;   ///< [rows]
  std::vector<std::int32_t> targets;  ///< [rows]
  std::vector<bool> trained;          ///< [rows]
  std::int64_t trained_rows = 0;
};

/// `padded_length`: under compat that of the example's batch; 0: no padding target.
ExampleRows example_rows(const TrainingExample& example, std::int64_t padded_length);

/// Which sequences run together: neighbours, as many as fit into `token_budget` tokens (one that is
/// longer runs alone). Indices into `lengths`, in order, so that sums keep their order.
std::vector<std::vector<std::int64_t>> plan_packs(std::span<const std::int64_t> lengths,
                                                  std::int64_t token_budget);

}  // namespace bobby
