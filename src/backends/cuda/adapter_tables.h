#pragma once

#include <cuda_runtime.h>
#include <memory>
#include <vector>

#include "backends/cuda/device.h"
#include "backends/cuda/linear_kernels.h"

namespace bobby::cuda {

/// Entries of adapters that are too many for a launch, in device memory: those of one step are
/// those of the next, and are sent once.
class AdapterTables {
 public:
  explicit AdapterTables(cudaStream_t stream) : stream_(stream) {}

  Result<LoraEntries> find(const std::vector<LoraEntry>& entries);

 private:
  struct Sent {
    std::vector<LoraEntry> entries;
    const LoraEntry* at = nullptr;
  };
  Result<const LoraEntry*> send(const std::vector<LoraEntry>& entries);

  cudaStream_t stream_;
  std::unique_ptr<PinnedMemory> host_;
  std::unique_ptr<DeviceMemory> device_;
  std::size_t used_ = 0;
  std::vector<Sent> sent_;
  std::size_t next_ = 0;  ///< where the one after the last found stands
};

}  // namespace bobby::cuda
