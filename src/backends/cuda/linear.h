#pragma once

#include <memory>
#include <span>
#include <vector>

#include "backends/backend.h"
#include "backends/cuda/device.h"
#include "backends/cuda/linear_kernels.h"

namespace bobby::cuda {

/// linear() and embed(): which kernels run on which rows, and the scratch memory between them.
class LinearEngine {
 public:
  LinearEngine(cudaStream_t stream, StepArguments& arguments)
      : stream_(stream), arguments_(arguments) {}

  /// Makes room for products of up to `cols` columns, so that no step has to.
  Result<void> reserve(std::int64_t cols);

  /// As the seam says. Errors are those of growing the scratch memory for adapters.
  Result<void> linear(Activation x, std::span<const Projection> projections);
  Result<void> embed(const Weight& table, std::span<const std::int32_t> tokens,
                     std::span<const LoraRows> lora, Activation out);

 private:
  Result<void> base(Activation x, std::span<const Projection> projections);
  Result<void> adapters(Activation x, std::span<const Projection> projections);
  void to_q15(const Matrices& format, const float* x, int rows);
  void product(Activation x, std::int64_t row_begin, std::int64_t rows, const Matrices& matrices);
  Result<LoraEntries> entries_on_device();

  cudaStream_t stream_;
  StepArguments& arguments_;
  std::int64_t cols_ = 0;
  std::unique_ptr<DeviceMemory> planes_;
  std::unique_ptr<DeviceMemory> scales_;
  std::unique_ptr<DeviceMemory> ax_;
  std::vector<LoraEntry> entries_;
};

}  // namespace bobby::cuda
