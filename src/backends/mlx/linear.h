#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>

#include "backends/backend.h"
#include "backends/mlx/activation_table.h"
#include "backends/mlx/adapters.h"
#include "backends/mlx/joined_weights.h"
#include "backends/mlx/machine.h"
#include "backends/mlx/row_product.h"
#include "backends/mlx/weight.h"

namespace bobby::mlx_backend {

/// linear() and embed(), with their adapters.
class LinearEngine {
 public:
  LinearEngine(const Machine& machine, ActivationTable& activations);

  void linear(Activation x, std::span<const Projection> projections);
  void embed(const Weight& table, std::span<const std::int32_t> tokens,
             std::span<const LoraRows> lora, Activation out);
  std::weak_ptr<StackedAdapters> adapters() const { return adapters_; }
  std::weak_ptr<JoinedWeights> joined() const { return joined_; }

 private:
  /// x W^T: fp32 [rows, out_features].
  mx::array product(const mx::array& x, const Matrix& matrix, const WeightFormat& format) const;
  bool is_few(std::int64_t rows, const WeightFormat& format) const;
  bool are_few(Activation x, std::span<const Projection> projections) const;
  /// linear() by kernels of our own, into which goes what comes before and behind it.
  void few_rows(Activation x, std::span<const Projection> projections);
  void together(const mx::array& x, std::span<const Projection> projections, const Matrix& whole);
  void apart(const mx::array& x, std::span<const Projection> projections);
  mx::array with_deltas(const mx::array& x, const mx::array& y, const Projection& projection) const;
  /// x A^T, scaled.
  mx::array low_rank_input(const mx::array& x, const LowRank& low_rank) const;
  void write(const Projection& projection, mx::array y);
  void write(const Projection& projection, Pending y);

  const Machine& machine_;
  ActivationTable& activations_;
  std::shared_ptr<StackedAdapters> adapters_;
  std::shared_ptr<JoinedWeights> joined_;
  std::optional<RowProduct> row_product_;
  mx::array zero_{0.0f};
};

}  // namespace bobby::mlx_backend
