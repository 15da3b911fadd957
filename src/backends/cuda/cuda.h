#pragma once

#include <memory>

#include "backends/backend.h"

namespace bobby {

struct CudaOptions {
  int device = 0;  ///< the N of cuda:N, as CUDA counts its devices
};

/// The CUDA backend. Weights are copied to the device when they are loaded; operations are enqueued
/// on one stream and do not wait. linear() rounds its input to q15 for quantised weights, as the
/// CPU does by default. kUnsupported: no driver, no such device, or a device older than the build's
/// kernels.
Result<std::unique_ptr<Backend>> make_cuda_backend(const CudaOptions& options = {});

}  // namespace bobby
