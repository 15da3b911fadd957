#pragma once

#include <atomic>
#include <memory>
#include <utility>

#include "backends/backend.h"
#include "backends/cuda/device.h"
#include "backends/cuda/linear_kernels.h"
#include "backends/cuda/tile_order.h"
#include "backends/cuda/unfinished.h"

namespace bobby::cuda {

/// Never the same twice.
inline std::uint64_t new_id() {
  static std::atomic<std::uint64_t> last = 0;
  return ++last;
}

/// A weight's copy on the device: in tile order where has_tile_order() says so, else as the file
/// has it.
class CudaWeight : public Weight {
 public:
  CudaWeight(const WeightView& view, SlabAllocator::Piece memory, Matrix matrix,
             const float* vector, std::shared_ptr<Unfinished> unfinished)
      : Weight(view),
        memory_(std::move(memory)),
        matrix_(matrix),
        vector_(vector),
        tiled_(has_tile_order(view)),
        finish_first_(std::move(unfinished)) {}

  /// Without `out` and `tiles_before`, which belong to a launch.
  const Matrix& matrix() const { return matrix_; }
  /// [cols] in fp32, for a weight of one row; otherwise null.
  const float* vector() const { return vector_; }
  bool tiled() const { return tiled_; }
  std::uint64_t id() const { return id_; }

 private:
  SlabAllocator::Piece memory_;
  Matrix matrix_;
  const float* vector_;
  bool tiled_;
  std::uint64_t id_ = new_id();
  FinishFirst finish_first_;
};

inline const CudaWeight& on_device(const Weight& weight) {
  return static_cast<const CudaWeight&>(weight);
}
inline const float* vector_of(const Weight* weight) {
  return weight ? on_device(*weight).vector() : nullptr;
}

/// A low-rank pair's copy on the device.
class CudaLora : public LoraWeight {
 public:
  CudaLora(const LoraView& view, std::unique_ptr<DeviceMemory> memory, const float* a,
           const float* b, const float* multiplier, std::shared_ptr<Unfinished> unfinished)
      : LoraWeight(view),
        memory_(std::move(memory)),
        a_(a),
        b_(b),
        multiplier_(multiplier),
        finish_first_(std::move(unfinished)) {}

  std::uint64_t id() const { return id_; }

  /// What a launch needs for `rows` of it; ax_begin and matrix are the caller's.
  LoraEntry entry(const LoraRows& rows) const {
    return {.a = a_,
            .b = b_,
            .multiplier = multiplier_,
            .scale = rows.scale,
            .row_begin = static_cast<int>(rows.row_begin),
            .row_count = static_cast<int>(rows.row_count),
            .rank = static_cast<int>(view().rank),
            .in_features = static_cast<int>(view().in_features)};
  }

 private:
  std::unique_ptr<DeviceMemory> memory_;
  const float* a_;
  const float* b_;
  const float* multiplier_;
  std::uint64_t id_ = new_id();
  FinishFirst finish_first_;
};

}  // namespace bobby::cuda
