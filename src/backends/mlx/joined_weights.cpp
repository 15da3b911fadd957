#include "backends/mlx/joined_weights.h"

#include <algorithm>
#include <utility>

namespace bobby::mlx_backend {

const Matrix* JoinedWeights::join(std::span<const Projection> projections) {
  // On Metal the weights stay where the file is mapped, each by itself.
  if (!machine_.cuda || projections.size() < 2) return nullptr;
  const WeightFormat& first = projections.front().weight->view().format;
  Key key;
  for (const Projection& projection : projections) {
    const WeightFormat& format = projection.weight->view().format;
    // Scales are fp32 here, whatever they were in the file.
    if (format.kind != WeightFormat::Kind::kAffine || format.bits != first.bits ||
        format.group_size != first.group_size)
      return nullptr;
    key.push_back(of_mlx(*projection.weight).id());
  }
  if (const auto found = joined_.find(key); found != joined_.end()) return &found->second;
  std::vector<const Matrix*> matrices;
  for (const Projection& projection : projections)
    matrices.push_back(&of_mlx(*projection.weight).matrix());
  Matrix whole = stack(matrices, machine_);
  std::int64_t begin = 0;
  for (const Projection& projection : projections) {
    const std::int64_t rows = projection.weight->rows();
    of_mlx(*projection.weight).move_to(rows_of(whole, begin, rows, machine_));
    begin += rows;
  }
  mx::clear_cache();
  return &joined_.emplace(std::move(key), std::move(whole)).first->second;
}

void JoinedWeights::forget(std::uint64_t id) {
  std::erase_if(joined_, [id](const auto& known) {
    return std::ranges::find(known.first, id) != known.first.end();
  });
}

}  // namespace bobby::mlx_backend
