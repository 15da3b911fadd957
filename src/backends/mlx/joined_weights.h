#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <vector>

#include "backends/backend.h"
#include "backends/mlx/machine.h"
#include "backends/mlx/weight.h"

namespace bobby::mlx_backend {

/// Weights that share their input, one below the other in one matrix: one kernel instead of
/// several. Made at their first use together; each is a part of the whole from then on.
class JoinedWeights {
 public:
  explicit JoinedWeights(const Machine& machine) : machine_(machine) {}

  /// Null: their formats differ, or it is not worth it on this machine.
  const Matrix* join(std::span<const Projection> projections);
  /// A weight's memory goes: so does the whole that it is part of.
  void forget(std::uint64_t id);

 private:
  using Key = std::vector<std::uint64_t>;
  const Machine& machine_;
  std::map<Key, Matrix> joined_;
};

}  // namespace bobby::mlx_backend
