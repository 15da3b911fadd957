#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "backends/backend.h"
#include "backends/mlx/machine.h"

namespace bobby::mlx_backend {

/// A weight as MLX takes it. Affine: `weight` is uint32 [rows, cols * bits / 32] and scales and
/// biases are fp32 [rows, cols / group_size]. Dense: `weight` is fp32 [rows, cols].
struct Matrix {
  mx::array weight;
  std::optional<mx::array> scales = {};
  std::optional<mx::array> biases = {};
};

class JoinedWeights;

class MlxWeight : public Weight {
 public:
  MlxWeight(const WeightView& view, Matrix matrix, std::weak_ptr<JoinedWeights> joined,
            const Machine& machine);
  ~MlxWeight() override;

  const Matrix& matrix() const { return matrix_; }
  /// [cols], of a weight of one row.
  const mx::array& vector() const { return *vector_; }
  std::uint64_t id() const { return id_; }
  /// The same numbers somewhere else: as rows of a larger matrix, say.
  void move_to(Matrix matrix) const { matrix_ = std::move(matrix); }

 private:
  std::uint64_t id_;
  mutable Matrix matrix_;
  std::optional<mx::array> vector_;
  std::weak_ptr<JoinedWeights> joined_;
};

inline const MlxWeight& of_mlx(const Weight& weight) {
  return static_cast<const MlxWeight&>(weight);
}
/// The numbers of a checkpoint as arrays: on Metal in the mapped file itself where MLX takes it,
/// else copied to where the machine computes.
Matrix load_matrix(const WeightView& view, const Machine& machine);
/// fp32 numbers of the host's as an array on the machine.
mx::array load_floats(const float* values, mx::Shape shape, const Machine& machine);
mx::array load_integers(const std::vector<std::int32_t>& values, mx::Shape shape,
                        const Machine& machine);
/// One number for kernels of our own, several times: MLX keeps what is no longer than 8 bytes in
/// the host's memory, where each block that reads it waits.
mx::array load_constant(float value, const Machine& machine);

/// Affine matrices of one format, one below the other.
Matrix stack(std::span<const Matrix* const> matrices, const Machine& machine);
/// Rows [begin, begin + count) of an affine matrix, without a copy.
Matrix rows_of(const Matrix& matrix, std::int64_t begin, std::int64_t count,
               const Machine& machine);

}  // namespace bobby::mlx_backend
