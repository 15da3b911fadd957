#pragma once

#include <memory>

#include "backends/cuda/training/machine.h"
#include "backends/training_ops.h"

namespace bobby::cuda {

/// Sizes of the weights that a backend has loaded: what scratch_bytes() reckons with.
struct LoadedWeight {
  std::int64_t rows = 0;
  std::int64_t cols = 0;
};

/// The operations of training on a device. Products take bf16 on tensor cores and sum in fp32;
/// attention takes tf32; everything between them is fp32.
class CudaTrainingOps : public TrainingOps {
 public:
  /// Frees what is kept to be faster: called when memory is short elsewhere.
  virtual void release_memory() = 0;
};

/// `loaded` must outlive it.
std::unique_ptr<CudaTrainingOps> make_training_ops(TrainingHooks hooks,
                                                   const std::vector<LoadedWeight>& loaded);

}  // namespace bobby::cuda
