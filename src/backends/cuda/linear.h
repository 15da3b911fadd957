#pragma once

#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "backends/backend.h"
#include "backends/cuda/adapter_tables.h"
#include "backends/cuda/device.h"
#include "backends/cuda/norm_kernels.h"
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
  /// As the seam says. Errors are those of growing the scratch memory for adapters. What adapters
  /// and biases add is left in deltas().
  Result<void> linear(Activation x, std::span<const Projection> projections);
  Result<void> embed(const Weight& table, std::span<const std::int32_t> tokens,
                     std::span<const LoraRows> lora, Activation out);
  /// As the seam says, where the product that will read `out` wants it rounded; else false. Takes
  /// the deltas of gate and up.
  bool swiglu(Activation gate, Activation up, Activation out);
  /// rms_norm() of x after x += y (null: of x as it is), rounded, where a block holds a row; else
  /// false. Takes the deltas of y.
  bool add_norm(float* x, const float* y, const float* weight, float eps, Activation out);

  /// What is still to be added to the outputs of the last linear().
  const Deltas& deltas() const { return deltas_; }
  Deltas take_deltas() { return std::exchange(deltas_, {}); }
  /// Adds it.
  void finish_deltas();

  /// Where an x of the next linear() can be put rounded by the kernel that makes it, in columns; it
  /// says rounded() then.
  RowTiles columns_for(std::int64_t rows, std::int64_t cols) const;
  void rounded(const RowTiles& tiles, const float* x, std::int64_t rows, std::int64_t cols);

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
  void product(const Matrices& matrices, Form form, const float* x, int rows,
               const InnerDeltas* deltas);
  /// The products. What some of them do not add themselves is left in left_.
  Result<void> base(Activation x, std::span<const Projection> projections);
  /// Room for z of all adapters of these projections.
  Result<void> reserve_ax(std::span<const Projection> projections);
  /// Appends the entries of a run: their rows, from row `first` of the step on, as matrix `matrix`.
  void gather(const Projection& projection, const Run& run, std::int64_t first, int matrix,
              std::vector<LoraEntry>& to);
  /// The adapters of a run's product, for a kernel that adds them itself; nothing: none.
  Result<const InnerDeltas*> inner(std::span<const Projection> projections, const Run& run,
                                   const float* x);
  Result<void> finish_later(Activation x, std::span<const Projection> projections);
  RowTiles tiles_for(std::int64_t rows, std::int64_t cols) const;

  cudaStream_t stream_;
  StepArguments& arguments_;
  std::int64_t cols_ = 0;
  std::unique_ptr<DeviceMemory> planes_;
  std::unique_ptr<DeviceMemory> scales_;
  std::unique_ptr<DeviceMemory> ax_;
  std::int64_t ax_floats_ = 0;      // of this linear()'s so far
  std::vector<LoraEntry> entries_;  // of one product
  std::vector<LoraEntry> left_;     // of products that add none
  InnerDeltas inner_;
  TileEngine tiles_;
  AdapterTables tables_{stream_};
  Deltas deltas_;
  /// What lies rounded in planes_ in tile order, as long as no kernel has run since.
  struct {
    const float* x = nullptr;
    std::int64_t rows = 0;
    std::int64_t cols = 0;
    unsigned long long launch = 0;
  } planes_of_;
  bool last_tiled_ = false;  ///< the last product's weights were in tile order
  std::int64_t step_rows_ = 0;
  std::vector<Run> prompts_;  // of the step, in order
};

}  // namespace bobby::cuda
