#pragma once

#include <cuda_runtime.h>
#include <memory>
#include <span>
#include <vector>

#include "backends/backend.h"
#include "backends/cuda/device.h"

namespace bobby::cuda {

inline constexpr int kTopSlices = 64;  // blocks of a row
inline constexpr int kTopChunk = 128;  // columns whose largest is kept
inline constexpr int kTopTokens = 512;
inline constexpr float kTopDepth =
    8.0f;  // exp(-8): what is below has 1/3000 of the likeliest's weight

/// What a block leaves of its slice of a row.
struct TopSlice {
  float largest;
  float sum_exp;  ///< of exp(logit - largest)
  int bad;        ///< whether it has a NaN or an infinity
};

/// One row's results, in page-locked memory of the host that the device writes to.
struct TopRow {
  unsigned done;  ///< the run's number, written last
  int bad;
  float largest;
  int count;  ///< tokens within kTopDepth, or anything beyond kTopTokens: then none is listed
  double sum_exp;
  int tokens[kTopTokens];
  float logits[kTopTokens];
};

/// On the device, for `rows` rows of `cols` logits.
struct TopScratch {
  TopSlice* slices = nullptr;   ///< [rows, kTopSlices]
  float* chunks = nullptr;      ///< [rows, chunks of a row]: the largest of each
  unsigned* arrived = nullptr;  ///< [rows], zero between runs: blocks that are done
};

constexpr int top_chunks(int cols) {
  return (cols + kTopChunk - 1) / kTopChunk;
}

/// logits: [rows, cols].
void top_logits(const float* logits, int rows, int cols, const TopScratch& scratch, TopRow* out,
                unsigned number, cudaStream_t stream);
/// Brings the kernel to the device, which the first token would else wait for.
void load_top_logits();

/// Backend::top_logits() with its memory.
class TopLogitsEngine {
 public:
  explicit TopLogitsEngine(cudaStream_t stream) : stream_(stream) { load_top_logits(); }
  /// Waits for the results, which stay until the next call: then the stream is idle.
  Result<std::span<const TopLogits>> run(Activation logits);

 private:
  Result<void> make_room(int rows, int cols);
  Result<void> wait(const TopRow& row);

  cudaStream_t stream_;
  TopScratch scratch_;
  std::unique_ptr<DeviceMemory> device_;
  std::unique_ptr<PinnedMemory> host_;
  std::vector<TopLogits> rows_;
  int room_rows_ = 0;
  int room_chunks_ = 0;
  unsigned number_ = 0;
};

}  // namespace bobby::cuda
