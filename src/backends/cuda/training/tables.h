#pragma once

#include <cstdint>
#include <cuda_runtime.h>
#include <memory>
#include <span>
#include <vector>

#include "backends/cuda/device.h"
#include "backends/training_ops.h"

namespace bobby::cuda {

inline constexpr int kChunkRows = 64;  ///< of a sequence, in one sum of a gradient

/// Rows [begin, begin + count) of a sequence, from its position `position` on.
struct SequenceChunk {
  int begin = 0;
  int count = 0;
  int position = 0;
  int sequence = 0;
};

struct SequenceEntry {
  int begin = 0;
  int count = 0;
  int first_chunk = 0;
  int chunks = 0;
  std::int64_t record = 0;
};

/// The sequences of a batch, cut into chunks of kChunkRows by position; device memory.
struct SequenceTable {
  const SequenceEntry* sequences = nullptr;
  const SequenceChunk* chunks = nullptr;
  /// The chunks' numbers, those latest in their sequence first: attention's longest.
  const int* longest_first = nullptr;
  int sequence_count = 0;
  int chunk_count = 0;
  int rows = 0;
  int longest = 0;
};

/// Keeps the last batch's table on the device.
class SequenceTables {
 public:
  explicit SequenceTables(cudaStream_t stream) : arguments_(stream) {}
  /// kLimit: no memory.
  Result<SequenceTable> find(std::span<const TrainingSequence> sequences);

 private:
  StepArguments arguments_;  // never reset: it waits for the device when it begins anew
  std::vector<TrainingSequence> known_;
  SequenceTable table_;
};

}  // namespace bobby::cuda
