#pragma once

#include <cuda_runtime.h>
#include <memory>
#include <span>
#include <vector>

#include "backends/backend.h"
#include "backends/cuda/device.h"

namespace bobby::cuda {

inline constexpr int kTopSlices = 16;  // blocks of a row
inline constexpr int kTopTokens = 512;
inline constexpr float kTopDepth =
    8.0f;  // exp(-8): what is below has 1/3000 of the likeliest's weight

/// One row's results, as the kernels leave them.
struct TopRow {
  float largest[kTopSlices];
  float sum_exp[kTopSlices];
  int bad[kTopSlices];  ///< whether the slice has a NaN or an infinity
  int count;            ///< tokens within kTopDepth; the first kTopTokens to come are listed
  int tokens[kTopTokens];
  float logits[kTopTokens];
};

/// logits: [rows, cols].
void top_logits(const float* logits, int rows, int cols, TopRow* out, cudaStream_t stream);

/// Backend::top_logits() with its memory.
class TopLogitsEngine {
 public:
  explicit TopLogitsEngine(cudaStream_t stream) : stream_(stream) {}
  /// Waits for the results, which stay until the next call.
  Result<std::span<const TopLogits>> run(Activation logits);

 private:
  cudaStream_t stream_;
  std::unique_ptr<DeviceMemory> device_;
  std::unique_ptr<PinnedMemory> host_;
  std::vector<TopLogits> rows_;
};

}  // namespace bobby::cuda
