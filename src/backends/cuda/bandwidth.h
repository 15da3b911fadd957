#pragma once

#include <cuda_runtime.h>

#include "base/result.h"

namespace bobby::cuda {

/// GB/s at which the device reads memory that no cache holds: the best of a few passes over 4 GiB,
/// or as much as is left. 0 where there is little.
Result<double> read_bandwidth(cudaStream_t stream);

}  // namespace bobby::cuda
