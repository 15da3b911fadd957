#pragma once

#include <memory>
#include <span>
#include <vector>

#include "backends/backend.h"
#include "backends/cuda/device.h"
#include "backends/cuda/linear_kernels.h"
#include "backends/cuda/tile_engine.h"

namespace bobby::cuda {

/// linear() and embed(): which kernels run on which rows, and the scratch memory between them.
class LinearEngine {
 public:
  LinearEngine(cudaStream_t stream, StepArguments& arguments)
      : stream_(stream), arguments_(arguments), tiles_(stream) {}

  /// Makes room for products of up to `cols` columns, so that no step has to.
  Result<void> reserve(std::int64_t cols);

  /// As the seam says.
  void begin_step(std::span<const SequenceRows> sequences);
  /// As the seam says. Errors are those of growing the scratch memory for adapters.
  /// As the seam says, where the product that will read `out` wants it rounded; else false.
  bool swiglu(Activation gate, Activation up, Activation out);
  Result<void> linear(Activation x, std::span<const Projection> projections);
  Result<void> embed(const Weight& table, std::span<const std::int32_t> tokens,
                     std::span<const LoraRows> lora, Activation out);

 private:
  /// Rows that one launch takes.
  struct Run {
    std::int64_t begin = 0;
    std::int64_t rows = 0;
    bool prompt = false;
  };
  /// What a product takes x as.
  enum class Form { kFloats, kPlanes, kTiled, kBytes, kHalves };

  Run run_at(std::int64_t begin, std::int64_t rows) const;
  Form form_for(const Matrices& matrices, const Run& run) const;
  void round(const Matrices& format, Form form, float* x, int rows);
  void product(const Matrices& matrices, Form form, const float* x, int rows);
  void base(Activation x, std::span<const Projection> projections);
  Result<void> adapters(Activation x, std::span<const Projection> projections);
  Result<LoraEntries> entries_on_device();

  cudaStream_t stream_;
  StepArguments& arguments_;
  std::int64_t cols_ = 0;
  std::unique_ptr<DeviceMemory> planes_;
  std::unique_ptr<DeviceMemory> scales_;
  std::unique_ptr<DeviceMemory> ax_;
  std::vector<LoraEntry> entries_;
  TileEngine tiles_;
  std::int64_t step_rows_ = 0;
  std::vector<Run> prompts_;  // of the step, in order
};

}  // namespace bobby::cuda
