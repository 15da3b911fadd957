#pragma once

#include <memory>

#include "backends/cuda/batch_kernels.h"
#include "backends/cuda/device.h"
#include "backends/cuda/launch.cuh"

namespace bobby::cuda {

/// Products of weights in tile order with many rows of x, where the device has warpgroups, and the
/// memory that they need: x rounded, and parts of sums.
class TileEngine {
 public:
  static constexpr int kBatchRows = 64;  ///< of one launch
  static constexpr int kPromptRows = 512;

  explicit TileEngine(cudaStream_t stream) : stream_(stream) {}

  /// Makes room for products of up to `cols` columns.
  Result<void> reserve(std::int64_t cols);
  bool ready() const { return bytes_ != nullptr; }

  // x is [rows, cols]; a product is of the last x that was rounded for it. What was just rounded
  // is not rounded again. `gated`: x is made of it first.
  void round_batch(const float* x, int rows, int cols);
  // `deltas`: null, or the adapters of these rows; z is made by batch(), and has been for prompt().
  void batch(const Matrices& matrices, int rows, const InnerDeltas* deltas);
  /// `element`: of the weights' biases.
  void round_prompt(float* x, Gated gated, int rows, int cols, Element element);
  void prompt(const Matrices& matrices, int rows, const InnerDeltas* deltas);
  /// Makes z for prompt().
  void prompt_dots(const InnerDeltas& deltas, int rows, int cols);
  /// The `element` of the last prompt's weights.
  Element last_element() const { return last_element_; }

  /// Where another kernel may put an x as round_batch() or round_prompt() would; then it says so.
  ByteTiles byte_tiles(int rows) const;
  HalfTiles half_tiles() const;
  void rounded_batch(const float* x, int rows, int cols) {
    rounded_ = {.x = x, .rows = rows, .cols = cols, .launch = launches()};
  }
  void rounded_prompt(const float* x, int rows, int cols, Element element) {
    rounded_ = {.x = x, .rows = rows, .cols = cols, .element = element, .launch = launches()};
  }

 private:
  /// What lies rounded, as long as no kernel has run since.
  struct Rounded {
    const float* x = nullptr;
    int rows = 0;
    int cols = 0;
    Element element = Element::kF32;  ///< kF32: bytes
    unsigned long long launch = 0;
  };
  bool has(const Rounded& wanted) const;

  cudaStream_t stream_;
  Rounded rounded_;
  Element last_element_ = Element::kBF16;
  std::int64_t cols_ = 0;
  std::unique_ptr<DeviceMemory> bytes_;
  std::unique_ptr<DeviceMemory> byte_scales_;
  std::unique_ptr<DeviceMemory> halves_;
  std::unique_ptr<DeviceMemory> half_sums_;
  std::unique_ptr<DeviceMemory> half_factors_;
  std::unique_ptr<DeviceMemory> partials_;
  std::unique_ptr<DeviceMemory> arrived_;
  std::unique_ptr<DeviceMemory> dots_count_;
  DotsDone dots_;
};

}  // namespace bobby::cuda
