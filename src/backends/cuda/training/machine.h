#pragma once

// What the operations of training share on a device: ways into its memory, scratch that is kept,
// weights in blocks, a batch's sequences.

#include <array>
#include <cstddef>
#include <cstdint>
#include <cuda_runtime.h>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <unordered_map>
#include <utility>
#include <vector>

#include "backends/backend.h"
#include "backends/cuda/device.h"
#include "backends/cuda/training/blocks.h"
#include "backends/cuda/training/tables.h"

namespace bobby::cuda {

/// What training asks of the backend that it belongs to.
struct TrainingHooks {
  cudaStream_t stream = nullptr;
  Uploader* uploader = nullptr;
  /// out[i] = row tokens[i] of a weight, in fp32.
  std::function<Result<void>(const Weight&, std::span<const std::int32_t>, Activation)> embed;
  /// Does what the backend has noted and not yet done.
  std::function<void()> finish;
  /// Waits, and says what went wrong.
  std::function<Result<void>()> sync;
};

class TrainingMachine {
 public:
  explicit TrainingMachine(TrainingHooks hooks)
      : hooks_(std::move(hooks)), tables_(hooks_.stream), arguments_(hooks_.stream) {}

  /// What an operation keeps in scratch while others that it calls run.
  enum class Use : std::uint8_t {
    kX,  ///< an x in blocks, or a gradient, of each projection
    kX1,
    kX2,
    kSplit,  ///< factors of pairs in blocks
    kLow,    ///< gradients of what pairs make of x
    kParts,  ///< sums of gradients by chunk
    kDropped,
    kNumbers,  ///< rows of a weight in fp32, on their way to blocks
    kWeight,   ///< a weight in blocks, of each projection, where there is no room to keep it
    kWeight1,
    kWeight2,
    kLogits,
    kLogitGradient,
    kRows,
    kLosses,
    kAngles,
    kStatistics,
    kCount
  };

  cudaStream_t stream() const { return hooks_.stream; }
  const TrainingHooks& hooks() const { return hooks_; }

  /// At least `bytes`, 256-byte aligned; what was there before is lost when it grows. kLimit.
  Result<void*> scratch(Use use, std::size_t bytes);
  template <typename T>
  Result<T*> scratch(Use use, std::size_t count) {
    BOBBY_TRY(void* data, scratch(use, count * sizeof(T)));
    return static_cast<T*>(data);
  }
  /// x [rows, cols] rounded to blocks in scratch, with rows for whole tiles.
  Result<Blocks> round(Activation x, Use use, const int* row_numbers = nullptr,
                       std::int64_t rows = -1);
  /// A weight in blocks: kept from the first call on while the device has room, else made in the
  /// scratch of `use`.
  Result<Blocks> weight(const Weight& weight, Use use);
  /// Calls run(rows of the weight in fp32 [count, cols], first row, count) a stretch at a time.
  Result<void> for_rows(const Weight& weight,
                        const std::function<Result<void>(const float*, int, int)>& run);
  /// Frees the weights that are kept in blocks; they are made again when they are needed.
  void forget_weights();

  Result<SequenceTable> table(std::span<const TrainingSequence> sequences) {
    return tables_.find(sequences);
  }
  /// Small host arrays as one on the device; valid until the next call.
  Result<const std::byte*> put(std::span<const std::byte> bytes);

  /// What an operation could not do is reported by the next one that can.
  void remember(Result<void> result) {
    if (!result && !failure_) failure_ = std::move(result).error();
  }
  Result<void> take_failure() {
    if (failure_) return fail(*std::exchange(failure_, std::nullopt));
    return {};
  }
  bool failed() const { return failure_.has_value(); }

 private:
  Result<void> fill(const Weight& weight, Blocks to);
  bool has_room_to_keep(std::size_t bytes) const;

  TrainingHooks hooks_;
  SequenceTables tables_;
  StepArguments arguments_;
  std::array<std::unique_ptr<DeviceMemory>, static_cast<std::size_t>(Use::kCount)> scratch_;
  std::unordered_map<std::uint64_t, std::unique_ptr<DeviceMemory>> kept_;  // by a weight's id
  std::vector<std::int32_t> row_ids_;
  std::optional<Error> failure_;
};

/// Use `use` of projection `index`.
inline TrainingMachine::Use use_of(TrainingMachine::Use use, std::size_t index) {
  return static_cast<TrainingMachine::Use>(static_cast<std::size_t>(use) + index);
}

}  // namespace bobby::cuda
