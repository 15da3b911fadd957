#pragma once

#include <cstdint>
#include <memory>

#include "backends/backend.h"

namespace bobby {

struct MlxOptions {
  /// kBest: the GPU (Metal, or CUDA) if this MLX has one, else the CPU.
  enum class Device : std::uint8_t { kBest, kCpu, kGpu };
  Device device = Device::kBest;
  /// For tests: what is done otherwise on CUDA, done on any device.
  bool as_on_cuda = false;
};

/// The backend over MLX's C++ library: Macs' GPUs by Metal, others by what MLX was built with.
/// Operations build a graph that is computed as it grows, ahead of the host. Activations are fp32;
/// weights keep MLX's 4 bits, their scales in fp32. MLX picks its kernels by the number of rows:
/// unlike on other backends, a row's last bits depend on how many rows stand beside it.
/// kUnsupported: this MLX has no such device.
Result<std::unique_ptr<Backend>> make_mlx_backend(const MlxOptions& options = {});

}  // namespace bobby
