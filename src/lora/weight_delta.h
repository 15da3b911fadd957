#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/result.h"
#include "lora/adapter.h"

namespace bobby {

/// What an adapter makes of one weight matrix, row by row: W + scale * B A, and under DoRA that row
/// brought to its magnitude. A weight is [rows, cols] as the checkpoint has it.
class WeightDelta {
 public:
  /// Of a linear layer. `factor` multiplies the module's own scale. `module` must outlive it.
  static WeightDelta of_linear(const AdapterModule& module, float factor = 1.0f);
  /// Of an embedding, whose rows are the module's inputs.
  static WeightDelta of_embedding(const AdapterModule& module, float factor = 1.0f);

  std::int64_t rows() const { return rows_; }
  std::int64_t cols() const { return cols_; }

  /// Row `row` of the base, in fp32 [cols], becomes the adapted row; products and sums are fp32.
  /// kNumeric: DoRA would divide by a norm of zero.
  Result<void> adapt(std::int64_t row, std::span<float> values) const;

  /// scale * B A alone, row `row`, [cols].
  void low_rank_row(std::int64_t row, std::span<float> out) const;
  /// DoRA's magnitudes [rows]; empty for LoRA.
  std::span<const float> magnitude() const { return magnitude_; }

 private:
  void add_low_rank(std::int64_t row, std::span<float> values) const;

  std::int64_t rows_ = 0;
  std::int64_t cols_ = 0;
  std::int64_t rank_ = 0;
  std::vector<float> left_;   ///< [rows, rank], with the scale
  std::vector<float> right_;  ///< [rank, cols]
  std::span<const float> magnitude_;
};

/// How much of an adapter's change is left in weights that were rounded after it was added: sums
/// over numbers of the wanted change D (adapted minus base, in fp32) and of the one that is there,
/// D' (rounded minus base).
struct DeltaKept {
  double wanted_squares = 0.0;  ///< sum of D^2
  double product = 0.0;         ///< sum of D D'
  double error_squares = 0.0;   ///< sum of (D' - D)^2
  double base_squares = 0.0;    ///< of the base itself

  /// Row by row: each of the three has the row's numbers.
  void add_row(std::span<const float> base, std::span<const float> adapted,
               std::span<const float> rounded);
  DeltaKept& operator+=(const DeltaKept& other);

  /// The share of the change that survives along its own direction: 1 all of it, 0 none; 1 too
  /// where nothing was to be changed.
  double kept() const;
  /// What rounding adds to the change, beside the change: |D' - D| / |D|; at 1 the noise is as
  /// large as the voice. 0 where nothing was to be changed.
  double lost() const;
  /// |D| / |base|.
  double relative_size() const;
};

/// Whether so little of a change is left that a voice is lost: less than half of it, or noise
/// nearly as large as the change. Weights alone cannot tell how much of a voice noise takes: 0.97
/// took half of it on an 8B, 2.1 a twelfth of the demo voice (docs/guides/fidelity.md), so this
/// warns early.
bool voice_lost(const DeltaKept& kept);
inline constexpr double kLeastKept = 0.5;
inline constexpr double kMostNoise = 0.9;

}  // namespace bobby
