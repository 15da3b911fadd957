#pragma once

#include <atomic>
#include <cstdint>
#include <mlx/mlx.h>

namespace bobby::mlx_backend {

namespace mx = ::mlx::core;

/// Where the operations of one backend run.
struct Machine {
  mx::Stream stream;
  bool gpu = false;
  bool metal = false;  ///< a GPU that shares the host's memory
  /// Memory of its own, and MLX's kernels for CUDA with what they ask for.
  bool cuda = false;
  bool own_kernels = false;  ///< kernels of our own can run: it is CUDA
};

/// MLX counts in 32 bits; whoever makes a shape has checked that it fits.
inline int size_of(std::int64_t count) {
  return static_cast<int>(count);
}

/// Never the same twice: what is kept of something outlives its address.
inline std::uint64_t new_id() {
  static std::atomic<std::uint64_t> last = 0;
  return ++last;
}

}  // namespace bobby::mlx_backend
